"""The authority on what the fake host does when it is asked: calls of the port, other hands, and guests' own doings.

Synchronous, and told the time: the daemon (`server`) adds sockets, delays and faults.
"""

from __future__ import annotations

import uuid as uuids
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from vms.hypervisor.base import ConfigurationRejected, DomainNotFound, EventKind, HypervisorError
from vms.hypervisor.fake import definition
from vms.hypervisor.fake.calls import CALLS, HANDS, Result
from vms.hypervisor.fake.load import Load
from vms.hypervisor.fake.machine import DRIVER, OTHER, Happening, Machine
from vms.hypervisor.fake.store import Store
from vms.hypervisor.fake.temper import ANSWER_LIMIT, Temper

_EVENTS = {
    "came_up": EventKind.STARTED,
    "went_down": EventKind.STOPPED,
    "reset": EventKind.RESET,
    "final_reset": EventKind.FINAL_RESET,
    "agent_connected": EventKind.AGENT,
    "agent_disconnected": EventKind.AGENT,
    "undefined": EventKind.UNDEFINED,
}


class FakeHost:
    """All domains of the fake host.

    Args:
        store: Where they are remembered.
        now: The clock, in seconds since the epoch.
        emit: Called with each event for watchers, once what it tells of is remembered.
        plan: Called with a domain's UUID and the moment when something will happen to it by itself (None: nothing);
            the daemon then calls `advance`.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], float],
        emit: Callable[[dict[str, Any]], None],
        plan: Callable[[str, float | None], None],
    ) -> None:
        self._store, self._now, self._emit, self._plan = store, now, emit, plan
        self._machines: dict[str, Machine] = {}
        self._events: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()

    def load(self) -> None:
        """Take up the remembered domains; whatever fell due meanwhile happens now, at its own moment."""
        for machine in self._store.load():
            if machine.run is not None:
                # A save is the hypervisor's own work and died with it; the guest ran on.
                machine.run.saved_at = None
            self._machines[machine.uuid] = machine
        for uuid in list(self._machines):
            self.advance(uuid)

    def advance(self, uuid: str) -> None:
        """Let happen what is due to a domain."""
        machine = self._machines.get(uuid)
        if machine is None:
            return
        due = machine.run.due() if machine.run else None
        if due is None or due > self._now():
            self._plan(uuid, due)
            return
        with self._transaction():
            self._happen(machine, machine.advance(self._now()))

    # What drivers call.

    def call(self, name: str, uuid: str, arguments: dict[str, Any], pid: int) -> Any:
        """Carry out one call of the port about one domain, and log it."""
        self.advance(uuid)
        with self._transaction():
            machine = self._machine(uuid)
            run = machine.runs
            failure: HypervisorError | None = None
            try:
                result = CALLS[name](machine, self._now(), **arguments)
                # In the order of cause and effect: what the call brought about is logged after it.
                happened, failure = list(result.happened), result.failure
            except HypervisorError as error:
                result, happened, failure = Result(effect=False), [], error
            self._store.add(
                at=self._now(),
                uuid=uuid,
                name=name,
                call=True,
                by=DRIVER,
                effect=result.effect,
                run=machine.runs if name == "start" else run,
                pid=pid,
                detail=str(failure or ""),
            )
            self._happen(machine, happened)
        if failure is not None:
            raise failure
        return result.value

    def takes(self, name: str, uuid: str | None) -> float:
        """Return how long a guest makes a call about its domain take, in seconds."""
        machine = self._machines.get(uuid or "")
        if (
            machine is None
            or name not in ("ask_agent", "guest")
            or machine.run is None
            or not machine.run.agent_connected
        ):
            return 0.0
        return min(machine.temper.agent_answers, ANSWER_LIMIT)

    def refuse(self, name: str, uuid: str, text: str, pid: int) -> None:
        """Log a call that was made to fail."""
        with self._transaction():
            run = self._machine(uuid).runs
            fields = {"at": self._now(), "uuid": uuid, "name": name, "run": run, "pid": pid, "detail": text}
            self._store.add(call=True, by=DRIVER, effect=False, **fields)

    def remove_disk(self, uuid: str, source: str, pid: int) -> None:
        """Remove the data of a disk, and log it, unless something needs it."""
        with self._transaction():
            refusal, effect = self._store.why_kept(source), False
            if uuid in self._machines:
                refusal = f"{self._machines[uuid].name} is defined again, so {source} was kept"
            elif user := self._user_of(source):
                refusal = f"{source} is used by {user}. Detach it there, then delete it by hand"
            if not refusal:
                effect = self._store.remove_image(source)
            fields = {"at": self._now(), "uuid": uuid, "run": 0, "pid": pid, "detail": refusal or source}
            self._store.add(name="remove_disk", call=True, by=DRIVER, effect=effect, **fields)
        if refusal:
            raise HypervisorError(refusal)

    def define_one(self, uuid: str, name: str, configuration: dict[str, Any], pid: int) -> None:
        """Define a domain, and log it, unless it is there or another one has its name."""
        with self._transaction():
            known = uuid in self._machines
            taken = not known and any(machine.name == name for machine in self._machines.values())
            refusal = f"a domain called {name} is there already" if taken else ""
            effect = not known and not taken
            fields = {"at": self._now(), "uuid": uuid, "run": 0, "pid": pid, "detail": refusal}
            self._store.add(name="define", call=True, by=DRIVER, effect=effect, **fields)
            if effect:
                stored = {part: configuration[part] for part in Machine.PARTS}
                machine = self._machines[uuid] = Machine(uuid, name, **stored)
                self._happen(machine, [Happening("defined", self._now(), DRIVER, machine.runs)])
        if refusal:
            raise ConfigurationRejected(refusal)

    def _user_of(self, source: str) -> str:
        for machine in self._machines.values():
            if any(disk["source"] == source for disk in machine.disks):
                return machine.name
        return ""

    def make_image(self, source: str, backing: str) -> None:
        """Put an image on the host's storage."""
        with self._transaction():
            self._store.put_image(source, backing)

    def images(self) -> dict[str, str]:
        """Return every image with what it is based on, or an empty text."""
        return self._store.images()

    def observe(self, uuid: str) -> dict[str, Any]:
        """Return what a driver is shown of one domain."""
        self.advance(uuid)
        return self._machine(uuid).seen()

    def domains(self) -> list[dict[str, Any]]:
        """Return what a driver is shown of all domains."""
        return [machine.seen() for machine in self._machines.values()]

    def usage(self) -> dict[str, dict[str, Any]]:
        """Return what each running domain has used so far."""
        now = self._now()
        used = {uuid: machine.usage(now) for uuid, machine in self._machines.items()}
        return {uuid: fields for uuid, fields in used.items() if fields is not None}

    def definition(self, uuid: str) -> str:
        """Return a domain's stored definition."""
        return definition.of(self._machine(uuid))

    def guest(self, uuid: str) -> dict[str, Any]:
        """Return what a domain's agent tells."""
        self.advance(uuid)
        return definition.guest(self._machine(uuid))

    # What tests and people do to the host, past any driver.

    def define(self, template: dict[str, Any], names: Iterable[str], *, running: bool) -> list[str]:
        """Define domains that are alike but for their names, and return their UUIDs."""
        fields = template | {
            "temper": Temper.of(template.get("temper") or {}),
            "load": Load(**template.get("load", {})),
        }
        new = [Machine(**({"uuid": str(uuids.uuid4())} | fields | {"name": name})) for name in names]
        taken = {machine.name for machine in self._machines.values()}
        if clash := next((machine.name for machine in new if machine.name in taken), None):
            raise HypervisorError(f"operation failed: domain '{clash}' already exists")
        with self._transaction():
            self._machines.update((machine.uuid, machine) for machine in new)
            for machine in new:
                self._happen(machine, machine.power_on(self._now(), OTHER) if running else ())
        return [machine.uuid for machine in new]

    def change(self, uuid: str, fields: dict[str, Any]) -> None:
        """Change a domain's definition or temper."""
        machine = self._machine(uuid)
        with self._transaction():
            for name, value in fields.items():
                setattr(machine, name, Temper.of(value) if name == "temper" else value)
            self._happen(machine, [Happening("redefined", self._now(), OTHER, machine.runs)])

    def set_load(self, uuid: str, load: dict[str, float]) -> None:
        """Make a guest as busy as that."""
        machine = self._machine(uuid)
        machine.set_load(self._now(), Load(**load))
        with self._transaction():
            self._store.put(machine)

    def hand(self, uuid: str, verb: str) -> None:
        """Do what another hand (`virsh`), the guest itself, or an accident does to a domain."""
        self.advance(uuid)
        machine, now = self._machine(uuid), self._now()
        with self._transaction():
            self._happen(machine, HANDS[verb](machine, now))

    def inside(self, uuid: str) -> dict[str, Any]:
        """Return everything about a domain, also what no driver is shown."""
        self.advance(uuid)
        return self._machine(uuid).as_json()

    def log(self, uuid: str | None, after: int) -> list[dict[str, Any]]:
        """Return the log's lines after number `after`."""
        return self._store.entries(uuid, after)

    # Inner workings.

    def _machine(self, uuid: str) -> Machine:
        try:
            return self._machines[uuid]
        except KeyError:
            raise DomainNotFound(f"Domain not found: no domain with matching uuid '{uuid}'") from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._store.begin()
        try:
            yield
        except BaseException:
            self._store.rollback()
            self._events.clear()
            raise
        self._store.commit()
        events, self._events = self._events, []
        for event in events:
            self._emit(event)

    def _happen(self, machine: Machine, happened: Iterable[Happening], *, quiet: bool = False) -> None:
        """Log what became of a domain, tell watchers, remember it, and plan what comes next."""
        # The list is made first: making it is what changes the machine.
        happenings = list(happened)
        if machine.run is None and not machine.persistent:
            happenings.append(Happening("undefined", self._now(), OTHER, machine.runs))
        for happening in happenings:
            self._store.add(
                at=happening.at,
                uuid=machine.uuid,
                name=happening.name,
                call=False,
                by=happening.by,
                effect=True,
                run=happening.run,
                detail=happening.detail,
            )
            if not quiet:
                kind = _EVENTS.get(happening.name, EventKind.CHANGED)
                self._events.append({"uuid": machine.uuid, "kind": kind, "detail": happening.detail or happening.name})
        if machine.run is None and not machine.persistent:
            del self._machines[machine.uuid]
            self._store.remove(machine.uuid)
        else:
            self._store.put(machine)
        self._plan(machine.uuid, machine.run.due() if machine.run else None)

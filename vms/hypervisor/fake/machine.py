"""The authority on what one simulated domain does: its definition, its run, and what becomes of it as time goes by.

Plain state without clock, socket or file: every method is told the time. Times are seconds since the epoch, so that a
guest goes on acting while the daemon is dead, as a QEMU process does without its libvirtd.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from vms.domain.observation import DomainState, DownReason, Job
from vms.domain.run_options import AS_STORED, RunOptions
from vms.hypervisor.fake.load import Load, shown, total
from vms.hypervisor.fake.temper import Agent, Reaction, Temper

#: Who did something.
DRIVER, OTHER, GUEST = "driver", "other", "guest"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that became of a domain, with the moment it did."""

    name: str
    at: float
    by: str
    run: int
    detail: str = ""


@dataclass
class Run:
    """One running process of a domain."""

    number: int
    started_at: float
    on_reboot: str
    listens_at: float
    agent_at: float | None = None
    state: str = DomainState.RUNNING
    token: str | None = None
    agent_connected: bool = False
    presses: int = 0
    panics_at: float | None = None
    crashed: bool = False
    acts_at: float | None = None
    reaction: str | None = None
    saved_at: float | None = None
    #: What was stored when it began, and how it was started otherwise.
    configuration: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    #: Its counters at the moment from which on its load has been what it is.
    used: dict[str, float] = field(default_factory=dict)
    used_at: float = 0.0

    def due(self) -> float | None:
        """Return when something will happen by itself next."""
        moments = [self.saved_at]
        if self.state == DomainState.RUNNING:
            moments += [self.agent_at, self.acts_at, self.panics_at]
        return min((moment for moment in moments if moment is not None), default=None)


@dataclass
class Machine:
    """A domain: what is stored of it, and its run if it has one."""

    #: Of a configuration, what it knows.
    PARTS: ClassVar = ("description", "memory", "vcpus", "boot", "cd_image")

    uuid: str
    name: str
    description: str = ""
    memory: int = 128 * 1024 * 1024
    vcpus: int = 1
    boot: list[str] = field(default_factory=lambda: ["hd"])
    cd_image: str | None = ""
    #: Its disks, as `vms.domain.disks` writes them.
    disks: list[dict[str, str]] = field(default_factory=list)
    on_reboot: str = "restart"
    on_crash: str = "destroy"
    persistent: bool = True
    temper: Temper = field(default_factory=Temper)
    load: Load = field(default_factory=Load)
    runs: int = 0
    run: Run | None = None
    down_reason: str = DownReason.UNKNOWN
    managed_save: bool = False
    #: Token and `on_reboot` of the run whose memory is saved: they come back with it, as libvirt's live XML does.
    saved_token: str | None = None
    saved_on_reboot: str | None = None
    saved_configuration: dict[str, Any] | None = None

    @property
    def stored(self) -> dict[str, Any]:
        """What is configured for the next run."""
        return {part: getattr(self, part) for part in self.PARTS}

    def as_json(self) -> dict[str, Any]:
        """Return everything, to be stored."""
        run = self.run.__dict__ if self.run else None
        return self.__dict__ | {"temper": self.temper.__dict__, "load": self.load.__dict__, "run": run}

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Machine:
        """Return the machine that `as_json` wrote."""
        run = Run(**fields["run"]) if fields["run"] else None
        load = Load(**fields.get("load", {}))
        return cls(**(fields | {"temper": Temper.of(fields["temper"]), "load": load, "run": run}))

    def seen(self) -> dict[str, Any]:
        """Return what a driver is shown of it."""
        run = self.run
        return {
            "uuid": self.uuid,
            "name": self.name,
            "description": self.description,
            "memory": self._in_use("memory"),
            "vcpus": self._in_use("vcpus"),
            "state": run.state if run else DomainState.DOWN,
            "run_token": run.token if run else None,
            "down_reason": DownReason.UNKNOWN if run else self.down_reason,
            "managed_save": self.managed_save,
            "agent_channel": self.temper.has_channel,
            "agent_connected": run.agent_connected if run else False,
            "acpi": self.temper.acpi,
            "persistent": self.persistent,
            "job": Job.SAVING if run and run.saved_at is not None else Job.NONE,
            "crashed": run is not None and run.crashed,
            "reset_ends_run": run is not None and run.on_reboot == "destroy",
            "run_once": run is not None and RunOptions.of(run.options).overrides,
            "stateless": run is not None and RunOptions.of(run.options).stateless,
            "stored": self.stored,
            "running": run.configuration if run else None,
            "disks": self.disks,
        }

    def _in_use(self, part: str) -> Any:
        if self.run is None:
            return getattr(self, part)
        return self.run.options.get(part) or self.run.configuration.get(part) or getattr(self, part)

    def usage(self, now: float) -> dict[str, Any] | None:
        """Return what its run has used so far; None while it is down."""
        if self.run is None:
            return None
        counters = total(self.run.used, self.load, self.run.used_at, now)
        return shown(counters, self.load, self._in_use("memory"), self._in_use("vcpus"))

    def set_load(self, now: float, load: Load) -> None:
        """Be as busy as that from now on; what was used until now stays used."""
        if self.run is not None:
            self.run.used, self.run.used_at = total(self.run.used, self.load, self.run.used_at, now), now
        self.load = load

    def power_on(self, now: float, by: str, options: RunOptions = AS_STORED) -> Iterator[Happening]:
        """Begin a run, restoring saved memory if there is any: such a guest has booted already."""
        if self.run is not None:
            return
        self.runs += 1
        restored = self.managed_save
        listens_at = now if restored else now + self.temper.boot
        self.run = Run(
            number=self.runs,
            started_at=now,
            on_reboot=self.saved_on_reboot or self.on_reboot,
            listens_at=listens_at,
            token=self.saved_token,
            state=DomainState.PAUSED if options.paused else DomainState.RUNNING,
            configuration=self.saved_configuration or self.stored,
            options=options.as_json(),
            used_at=now,
        )
        self.discard_memory()
        yield Happening("came_up", now, by, self.runs, "restored" if restored else _in_words(options))
        yield from self._boot(listens_at, now)

    def discard_memory(self) -> bool:
        """Forget saved memory, and say whether there was any."""
        had, self.managed_save = self.managed_save, False
        self.saved_token = self.saved_on_reboot = self.saved_configuration = None
        return had

    def _boot(self, listens_at: float, now: float) -> Iterator[Happening]:
        if self.run is None:
            return
        run = self.run
        run.listens_at = math.inf if self.temper.hangs else listens_at
        run.acts_at = run.reaction = None
        run.presses = 0
        run.agent_at = listens_at + self.temper.agent_late if self.temper.connects else None
        run.panics_at = listens_at if self.temper.panics else None
        yield from self.advance(now)

    def end(self, now: float, reason: DownReason, by: str) -> Iterator[Happening]:
        """End the run."""
        if self.run is None:
            return
        self.run = None
        self.down_reason = reason
        yield Happening("went_down", now, by, self.runs, reason)

    def request(self, now: float, reaction: Reaction) -> bool:
        """Let a guest that listens hear a request, and say whether it makes a difference."""
        run = self.run
        if run is None or now < run.listens_at or run.state != DomainState.RUNNING:
            return False
        acts_at = now + self.temper.slow
        if run.acts_at is not None and run.acts_at <= acts_at:
            return False
        told = self.temper.told_to_halt if reaction is Reaction.HALT else self.temper.told_to_reboot
        run.reaction, run.acts_at = told, acts_at
        return True

    def press_button(self, now: float) -> bool:
        """Press the power button, and say whether it makes a difference."""
        if self.run is None or now < self.run.listens_at or not (self.temper.acpi and self.temper.button):
            return False
        self.run.presses += 1
        return self.run.presses > self.temper.lost_presses and self.request(now, Reaction.HALT)

    def ask_agent(self, now: float, reaction: Reaction) -> bool:
        """Tell the connected agent what to do, and say whether it makes a difference."""
        return self.temper.agent is Agent.ON and self.request(now, reaction)

    def reset(self, now: float, by: str) -> Iterator[Happening]:
        """Reset the machine: a new boot in the same process, unless `on_reboot` ends it."""
        run = self.run
        if run is None:
            return
        if run.on_reboot == "destroy":
            # As QEMU under libvirt has it: the process ends as after a power-down.
            yield Happening("final_reset", now, by, run.number)
            yield from self.end(now, DownReason.GUEST, by)
            return
        yield Happening("reset", now, by, run.number)
        if run.agent_connected:
            run.agent_connected = False
            yield Happening("agent_disconnected", now, GUEST, run.number)
        yield from self._boot(now + self.temper.boot, now)

    def panic(self, now: float) -> Iterator[Happening]:
        """Let the guest's kernel panic: its run ends, or is preserved as it is."""
        run = self.run
        if run is None:
            return
        run.acts_at = run.reaction = run.panics_at = None
        if self.on_crash == "preserve":
            run.state, run.crashed = DomainState.PAUSED, True
            yield Happening("crashed", now, GUEST, run.number)
        else:
            yield from self.end(now, DownReason.CRASHED, GUEST)

    def set_state(self, now: float, state: DomainState, by: str) -> Iterator[Happening]:
        """Pause the run, put it to sleep, or let it run on."""
        run = self.run
        if run is None or run.state == state:
            return
        run.state = state
        names = {DomainState.PAUSED: "paused", DomainState.SLEEPING: "slept"}
        yield Happening(names.get(state, "resumed"), now, by, run.number)
        yield from self.advance(now)

    def begin_save(self, now: float, by: str) -> Iterator[Happening]:
        """Begin a managed save."""
        if self.run is None or self.run.saved_at is not None:
            return
        self.run.saved_at = now + self.temper.save
        yield Happening("saving", now, by, self.run.number)
        yield from self.advance(now)

    def set_agent(self, now: float, *, connected: bool) -> Iterator[Happening]:
        """Let the agent connect, or go away until the next boot."""
        run = self.run
        if run is None or run.agent_connected is connected:
            return
        run.agent_connected, run.agent_at = connected, None
        yield Happening("agent_connected" if connected else "agent_disconnected", now, GUEST, run.number)

    def advance(self, now: float) -> Iterator[Happening]:
        """Let everything happen that is due by `now`, in its order and each at its own moment."""
        while (run := self.run) is not None and (due := run.due()) is not None and due <= now:
            if run.saved_at == due:
                run.saved_at = None
                self.managed_save, self.saved_token, self.saved_on_reboot = True, run.token, run.on_reboot
                self.saved_configuration = run.configuration
                yield from self.end(due, DownReason.SAVED, DRIVER)
            elif run.panics_at == due or (run.acts_at == due and run.reaction == Reaction.PANIC):
                yield from self.panic(due)
            elif run.agent_at == due:
                yield from self.set_agent(due, connected=True)
            elif run.reaction == Reaction.HALT:
                yield from self.end(due, DownReason.GUEST, GUEST)
            else:
                run.acts_at = run.reaction = None
                yield from self.reset(due, GUEST)


def _in_words(options: RunOptions) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.as_json().items() if value not in (None, "", False))

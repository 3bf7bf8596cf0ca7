"""The state machine of everything that can go wrong: random requests, guests, hands, losses, deaths, and time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.faults.dying import Boundary, Death, Interruption, die
from tests.faults.oracle import Oracle, Violation
from tests.faults.world import World, new_world
from vms import actions
from vms.domain.configuration import Part
from vms.domain.policy import Setting
from vms.domain.power import Action
from vms.domain.run_options import AS_STORED, RunOptions
from vms.hypervisor.base import DomainNotFound
from vms.hypervisor.fake import Agent, Reaction, Temper
from vms.hypervisor.fake.calls import CALLS
from vms.models import Operation, VirtualMachine

#: Seconds after which a graceful operation ends at the latest here, and everything else too (suspend takes longest).
_LONGEST = 60 * 40.0

tempers = st.builds(
    Temper,
    agent=st.sampled_from(Agent),
    agent_late=st.sampled_from([0.0, 0.0, 5.0, 80.0]),
    acpi=st.sampled_from([True, True, True, False]),
    button=st.booleans(),
    boot=st.sampled_from([0.0, 2.0, 20.0]),
    slow=st.sampled_from([0.0, 0.5, 4.0, 12.0, 40.0]),
    told_to_halt=st.sampled_from([Reaction.HALT, Reaction.HALT, Reaction.REBOOT]),
    told_to_reboot=st.sampled_from(Reaction),
    save=st.sampled_from([0.0, 3.0, 15.0]),
)
forces = st.sampled_from([None, None, True, False])
delays = st.sampled_from([None, 0, 1, 5, 10, 30, 60])
overrides = st.builds(Setting, forces, delays)
vms = st.integers(0, 1)
requests = st.sampled_from([*Action, Action.REBOOT, Action.REBOOT, Action.SHUT_DOWN, Action.POWER_OFF])
hands = st.sampled_from(
    [
        "start",
        "start",
        "shutdown",
        "destroy",
        "suspend",
        "resume",
        "managedsave",
        "guest_halt",
        "guest_reboot",
        "guest_sleep",
        "agent_connect",
        "agent_disconnect",
        "crash",
    ]
)
anyone = st.integers(0, 1000)


class Everything(RuleBasedStateMachine):
    """Two VMs on one host, a portal, and no mercy."""

    def __init__(self) -> None:
        super().__init__()
        self._exit = contextlib.ExitStack()
        self.world: World = self._exit.enter_context(new_world())
        self.oracle = Oracle()
        self.ids: list[UUID] = []
        self._checked_at = -1

    @initialize(first=tempers, second=tempers)
    def begin(self, first: Temper, second: Temper) -> None:
        self.ids = self.world.define_all([first, second])

    # What people do.

    @rule(vm=vms, action=requests, override=overrides, data=st.data())
    def request_too(self, vm: int, action: Action, override: Setting, data: st.DataObject) -> None:
        # Named twice, because it is chosen by name: without requests nothing happens.
        self.request(vm, action, override, data)

    @rule(vm=vms, action=requests, override=overrides, data=st.data())
    def request(self, vm: int, action: Action, override: Setting, data: st.DataObject) -> None:
        chosen = override if action in (Action.SHUT_DOWN, Action.REBOOT) else None
        options = AS_STORED
        if action is Action.RUN_ONCE:
            options = RunOptions(paused=data.draw(st.booleans()), stateless=data.draw(st.booleans()))
        self.world.request(self.ids[vm], action, chosen, self._interruptions(data), options)

    @rule(vm=vms, verb=st.sampled_from(["force", "extend", "cancel"]), data=st.data())
    def steer(self, vm: int, verb: str, data: st.DataObject) -> None:
        changes: dict[str, Callable[[User, Operation], None]] = {
            "force": actions.force_now,
            "extend": lambda actor, operation: actions.extend(actor, operation, 7),
            "cancel": actions.cancel,
        }
        self.world.steer(self.ids[vm], changes[verb], self._interruptions(data))

    @rule(vm=st.sampled_from([0, 1, None]), force=forces, delay=st.sampled_from([None, 2, 20]))
    def set_policy(self, vm: int | None, force: bool | None, delay: int | None) -> None:
        admin = self.world.admin
        if vm is None:
            actions.set_defaults(admin, force=bool(force), delay=delay or 10)
        else:
            actions.set_policy(admin, VirtualMachine.objects.get(pk=self.ids[vm]), Setting(force, delay))

    @rule(vm=vms, inside=st.booleans(), apply=st.booleans())
    def set_options(self, vm: int, inside: bool, apply: bool) -> None:
        VirtualMachine.objects.filter(pk=self.ids[vm]).update(restart_inside=inside, apply_on_guest_reboot=apply)

    @rule(vm=vms, vcpus=st.integers(1, 2), data=st.data())
    def reconfigure(self, vm: int, vcpus: int, data: st.DataObject) -> None:
        self.world.configure(self.ids[vm], {Part.VCPUS: vcpus}, self._interruptions(data))

    # What others do.

    @rule(vm=vms, verb=hands)
    def hand(self, vm: int, verb: str) -> None:
        with contextlib.suppress(DomainNotFound):
            self.world.host.hand(self.ids[vm], verb)

    @rule(vm=vms, temper=st.one_of(tempers, st.none()))
    def change_temper_or_remove(self, vm: int, temper: Temper | None) -> None:
        with contextlib.suppress(DomainNotFound):
            if temper is not None:
                # What the domain consists of does not change while it runs.
                acpi = self.world.host.inside(self.ids[vm])["temper"]["acpi"]
                self.world.host.set_temper(self.ids[vm], replace(temper, acpi=acpi))
            else:
                self.world.host.hand(self.ids[vm], "undefine")

    # What goes wrong.

    @rule(call=st.sampled_from(sorted(CALLS)), times=st.sampled_from([1, 1, 2, 7]))
    def fail(self, call: str, times: int) -> None:
        self.world.host.fail(call, times)

    @rule(seconds=st.sampled_from([0.5, 2.0, 4.5]), how=st.sampled_from(["slow", "late", "unanswered"]))
    def spoil_call(self, seconds: float, how: str) -> None:
        host = self.world.host
        if how == "slow":
            host.latency = 2 * seconds
        elif how == "late":
            host.calls_late.append(seconds)
        else:
            host.answers_lost = 1

    @rule(what=st.sampled_from(["host", "daemon", "broker", "watcher"]))
    def lose(self, what: str) -> None:
        world = self.world
        losses: dict[str, Callable[[], None]] = {
            "host": world.lose_host,
            "daemon": world.restart_host,
            "broker": world.lose_broker,
            "watcher": world.kill_watcher,
        }
        losses[what]()

    @rule()
    def find(self) -> None:
        self.world.host.away = self.world.broker_away = False

    # What the portal's processes do.

    @rule(
        who=st.sampled_from(["worker", "worker", "unasked worker", "watcher", "beat"]),
        number=anyone,
        known_dead=st.sampled_from([True, True, True, False]),
        data=st.data(),
    )
    def work(self, who: str, number: int, known_dead: bool, data: st.DataObject) -> None:
        world, interruptions = self.world, self._interruptions(data)
        if who == "worker" and world.wakes:
            world.look(number % len(world.wakes), interruptions, known_dead=known_dead)
        elif who == "unasked worker":
            world.look_at(self.ids[number % 2], None, interruptions, known_dead=known_dead)
        elif who == "watcher" and world.events:
            world.hear(number % len(world.events), interruptions)
        elif who == "watcher":
            world.watch(interruptions)
        else:
            world.sweep(interruptions)

    @precondition(lambda self: self.world.wakes or self.world.events)
    @rule(number=anyone, double=st.booleans())
    def lose_or_double_message(self, number: int, double: bool) -> None:
        messages: list[Any] = self.world.wakes or self.world.events
        which = number % len(messages)
        if double:
            messages.append(messages[which])
        else:
            del messages[which]

    # Time.

    @rule(seconds=st.sampled_from([0.01, 0.5, 1.5, 6.0, 31.0, 90.0]))
    def nobody_works(self, seconds: float) -> None:
        self.world.shift(seconds)

    @rule(seconds=st.sampled_from([0.01, 0.5, 2.0, 6.0, 20.0]))
    def everybody_works(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    # What must hold.

    @invariant()
    def nothing_is_wrong(self) -> None:
        lines = self.world.host.log(self.oracle.last_line)
        if lines or self.world.processes.writes != self._checked_at:
            self._checked_at = self.world.processes.writes
            self.oracle.check(lines)

    def teardown(self) -> None:
        try:
            if self.ids:
                self._come_to_rest()
        finally:
            self._exit.close()

    def _come_to_rest(self) -> None:
        """The last fault is over: whatever is under way comes to its end."""
        self.world.heal()
        self.world.pass_time(1)
        waited = 0.0
        while Operation.objects.active().exists():
            self.world.pass_time(20)
            self.oracle.check(self.world.host.log(self.oracle.last_line))
            waited += 20
            if waited > _LONGEST:
                raise Violation(f"still active: {list(Operation.objects.active().values())}")
        # What guests still have in mind, and what is counted up a minute after its start.
        self.world.pass_time(100)
        self.world.kill_watcher()
        self.world.pass_time(1)
        self.oracle.check(self.world.host.log(self.oracle.last_line))
        for operation in Operation.objects.all():
            self.oracle.check_deadline(operation, self.world.faulty_until)
        for vm in VirtualMachine.objects.all():
            try:
                inside = self.world.host.inside(vm.uuid)
            except DomainNotFound:
                inside = None
            self.oracle.check_rest(vm, inside)

    # Interruptions.

    def _interruptions(self, data: st.DataObject) -> dict[int, Interruption]:
        """Draw what happens to a process on its way: usually nothing."""
        kinds = data.draw(_HAPPENINGS)
        return {number: self._happening(kind, vm, seconds) for number, kind, vm, seconds in kinds}

    def _happening(self, kind: str, vm: int, seconds: float) -> Interruption:
        if kind == "die":
            return die
        if kind == "die in call":
            return partial(self._die_in_call, seconds)
        return partial(self._meanwhile, kind, self.ids[vm])

    def _die_in_call(self, seconds: float, boundary: Boundary) -> None:
        if boundary.what in CALLS and not boundary.done:
            self.world.host.carry_out_late(seconds)
        raise Death(str(boundary))

    def _meanwhile(self, kind: str, vm: UUID, boundary: Boundary) -> None:
        """Let somebody else do something at this very moment."""
        world = self.world
        others: dict[str, Callable[[], Any]] = {
            "power off": lambda: world.request(vm, Action.POWER_OFF),
            "power cycle": lambda: world.request(vm, Action.POWER_CYCLE),
            "reboot": lambda: world.request(vm, Action.REBOOT),
            "force now": lambda: world.steer(vm, actions.force_now),
            "cancel": lambda: world.steer(vm, actions.cancel),
            "look": lambda: world.look_at(vm),
            "sweep": world.sweep,
            "hear": lambda: world.hear(0) if world.events else None,
            "destroyed": lambda: world.host.hand(vm, "destroy"),
            "started": lambda: world.host.hand(vm, "start"),
            "halted": lambda: world.host.hand(vm, "guest_halt"),
            "lost": world.lose_host,
        }
        with contextlib.suppress(DomainNotFound):
            others[kind]()


_KINDS = [
    "die", "die", "die", "die in call", "power off", "power cycle", "reboot", "force now", "cancel", "look", "sweep",
    "hear", "destroyed", "started", "halted", "lost",
]  # fmt: skip
_HAPPENINGS: st.SearchStrategy[list[tuple[int, str, int, float]]] = st.one_of(
    st.just([]),
    st.lists(st.tuples(st.integers(1, 24), st.sampled_from(_KINDS), vms, st.sampled_from([0.2, 3.0])), max_size=2),
)

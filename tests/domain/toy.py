"""A toy hypervisor with one VM on a virtual clock, whose guest has a temper.

It is written from what hypervisors do, not from what the domain code expects, and keeps its own log of what it was
asked and what had an effect: the oracle of this ring's tests.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from vms.domain.observation import DomainState, DownReason, Job, Observation
from vms.domain.operation import StepKind


class ToyError(Exception):
    """The hypervisor refused or failed a call."""


class Unreachable(Exception):
    """The connection to the host is lost: no answer."""


class Ear(StrEnum):
    """How a guest takes being asked to go down."""

    OBEYS = "obeys"
    IGNORES = "ignores"
    REFUSES = "refuses"
    """The call itself fails."""
    HEARS_LATE = "hears_late"
    """The call fails, because nobody waits so long; but the guest heard it, and obeys some seconds later."""


#: Seconds after which a guest hears a request whose call failed for want of an answer.
HEARD_LATE_BY = 6.0


class Hand(StrEnum):
    """What somebody else may do to the VM."""

    KILL = "kill"
    HALT = "halt"
    """Somebody inside the guest halts it."""
    START = "start"
    RESTART = "restart"
    """Kill and start."""
    SAVE = "save"
    UNDEFINE = "undefine"
    DEFINE = "define"
    """Define it again, as it was."""
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Temper:
    """How a guest behaves. Times in seconds.

    Attributes:
        agent: How it takes the agent's request; None without an agent channel.
        button: How it takes the power button; None without ACPI.
        takes: How long it needs to go down once it obeys.
        boots: How long after a start, or a reset, its agent connects.
        agent_late: When its agent connects in the run that is under way at the beginning.
        resets: It restarts when told to halt.
        panics: Its kernel panics when told to halt.
        preserved: A run whose guest panicked stands still instead of ending.
        lost_presses: So many presses of its button are lost in each boot.
        halts: It halts when told to restart.
        agent_leaves: Its agent disconnects as soon as the guest begins to go down.
        saves: How long saving its memory takes.
    """

    agent: Ear | None = Ear.OBEYS
    button: Ear | None = Ear.OBEYS
    takes: float = 1
    boots: float = 3
    agent_late: float = 0
    resets: bool = False
    panics: bool = False
    preserved: bool = False
    lost_presses: int = 0
    halts: bool = False
    agent_leaves: bool = False
    saves: float = 4


@dataclass(frozen=True, slots=True)
class Called:
    """One call as the hypervisor saw it.

    Attributes:
        effect: It changed something (a repeated ask counts as well: the guest heard it).
        failed: It was answered with an error.
        run: Number of the run that was under way when it arrived, 0 when none was.
    """

    at: float
    kind: StepKind
    effect: bool
    failed: bool
    run: int

    def __str__(self) -> str:
        return f"{self.at:g} {self.kind}" + (" failed" if self.failed else "" if self.effect else " no effect")


@dataclass
class Vm:
    """One VM. Runs are numbered from 1; a restored memory carries its run on."""

    temper: Temper = Temper()
    state: DomainState = DomainState.RUNNING
    managed_save: bool = False
    faults: Mapping[StepKind, int] = field(default_factory=dict)
    """How many calls of a kind fail before the first that works."""
    meddling: Mapping[StepKind, Hand] = field(default_factory=dict)
    """What somebody else does just before the first call of a kind arrives."""
    away: tuple[float, float] = (0, 0)
    """From when to when the host cannot be reached."""
    token: str | None = None
    armed: bool = False

    def __post_init__(self) -> None:
        self.now = 0.0
        self.defined = True
        self.job = Job.NONE
        self.down_reason = DownReason.UNKNOWN
        self.log: list[Called] = []
        self.runs = 0 if self.state is DomainState.DOWN and not self.managed_save else 1
        self.run = 0 if self.state is DomainState.DOWN else 1
        self.ended_by_others = 0
        self.started: list[float] = []
        self._saved: tuple[str | None, bool] = (None, False)
        self.resets = 0
        self.disks = {"/a", "/b"}
        #: Those that another VM uses as well.
        self.in_use: set[str] = set()
        self._boots_seen = 0
        self._leaving = False
        self._presses = 0
        self.crashed = False
        self._agent_at = self.temper.agent_late
        self._faults = dict(self.faults)
        self._meddling = dict(self.meddling)
        self._order = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self.later(self._agent_at, lambda: None)

    # The clock

    def later(self, at: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._order), do))

    def next_change(self) -> float | None:
        return self._due[0][0] if self._due else None

    def advance(self, to: float) -> None:
        while self._due and self._due[0][0] <= to:
            at, _, do = heapq.heappop(self._due)
            self.now = max(self.now, at)
            do()
        self.now = max(self.now, to)

    # What can be seen

    @property
    def reachable(self) -> bool:
        return not self.away[0] <= self.now < self.away[1]

    @property
    def down(self) -> bool:
        return self.state is DomainState.DOWN

    def observe(self) -> Observation:
        return Observation(
            state=self.state,
            run_token=self.token,
            down_reason=self.down_reason if self.down else DownReason.UNKNOWN,
            managed_save=self.managed_save,
            agent_channel=self.temper.agent is not None,
            agent_connected=self._agent_connected,
            acpi=self.temper.button is not None,
            job=self.job,
            crashed=self.crashed,
            reset_ends_run=self.armed,
        )

    @property
    def _agent_connected(self) -> bool:
        there = self.temper.agent is not None and self.state is DomainState.RUNNING and self.now >= self._agent_at
        return there and not (self._leaving and self.temper.agent_leaves)

    # What others do

    def hand(self, hand: Hand) -> None:
        match hand:
            case Hand.KILL | Hand.RESTART if not self.down:
                self.ended_by_others += 1
                self._end(DownReason.DESTROYED)
            case Hand.HALT if self.state is DomainState.RUNNING:
                self.ended_by_others += 1
                self._end(DownReason.GUEST)
            case Hand.SAVE if not self.down:
                self.ended_by_others += 1
                self._save()
            case Hand.PAUSE if self.state is DomainState.RUNNING:
                self.state = DomainState.PAUSED
            case Hand.UNDEFINE:
                self.defined = False
            case Hand.DEFINE:
                self.defined = True
        if hand in (Hand.START, Hand.RESTART) and self.down and self.defined:
            self._boot()

    # What is asked of the hypervisor

    def call(self, kind: StepKind, token: str | None, *, arm: bool = False, target: str = "") -> str | None:
        """Carry out a call; return the run's token when it is PREPARE."""
        if kind in self._meddling:
            self.hand(self._meddling.pop(kind))
        if not self.reachable:
            raise Unreachable
        if kind is StepKind.SCREENSHOT:
            # It only looks, so it is in no log; but it can fail.
            self._must_work(kind)
            self._must_run()
            return None
        run, failed, effect = self.run, True, False
        try:
            if kind is StepKind.REMOVE_DISK:
                self._must_work(kind)
                effect = self._remove_disk(target)
                failed = False
                return None
            if not self.defined:
                raise ToyError("no such domain")
            self._must_work(kind)
            effect = self._carry_out(kind, token, arm)
            failed = False
        finally:
            self.log.append(Called(self.now, kind, effect, failed, run))
        return self.token if kind is StepKind.PREPARE else None

    def _carry_out(self, kind: StepKind, token: str | None, arm: bool) -> bool:
        """Do it, and say whether that changed anything."""
        match kind:
            case StepKind.PREPARE:
                return self._prepare(token, arm)
            case StepKind.DESTROY:
                return self._destroy(token)
            case _:
                return self._plain_calls[kind]()

    @property
    def _plain_calls(self) -> dict[StepKind, Callable[[], bool]]:
        return {
            StepKind.RELENT: self._relent,
            StepKind.ASK_AGENT: self._ask_agent,
            StepKind.ASK_RESTART: lambda: self._ask_agent(restarts=not self.temper.halts),
            StepKind.PRESS_BUTTON: self._press_button,
            StepKind.START: lambda: self.down and self._boot(),
            StepKind.SAVE: self._begin_to_save,
            StepKind.RESUME: self._resume,
            StepKind.DISCARD_MEMORY: self._discard_memory,
            StepKind.UNDEFINE: self._undefine,
        }

    def _prepare(self, token: str | None, arm: bool) -> bool:
        self._must_run()
        self.token = self.token or token
        self.armed = self.armed or arm
        return True

    def _relent(self) -> bool:
        self.armed = False
        return True

    def _ask_agent(self, *, restarts: bool | None = None) -> bool:
        if not self._agent_connected or self.temper.agent is Ear.REFUSES:
            raise ToyError("the agent does not take it")
        restarts = self.temper.resets if restarts is None else restarts
        if self.temper.agent is Ear.HEARS_LATE:
            self._ask(Ear.OBEYS, restarts=restarts, after=HEARD_LATE_BY)
            raise ToyError("no answer in time")
        self._ask(self.temper.agent, restarts=restarts)
        return True

    def _press_button(self) -> bool:
        self._must_run()
        if self.temper.button is Ear.REFUSES:
            raise ToyError("no button")
        self._presses += 1
        if self._presses > self.temper.lost_presses:
            self._ask(self.temper.button, restarts=self.temper.resets)
        return True

    def _destroy(self, token: str | None) -> bool:
        if self.down:
            return False
        if token is not None and token != self.token:
            raise ToyError("another run")
        self._end(DownReason.DESTROYED)
        return True

    def _begin_to_save(self) -> bool:
        self._must_run()
        if self.job is Job.SAVING:
            raise ToyError("it is being saved already")
        self.job = Job.SAVING
        run = self.run
        self.later(self.now + self.temper.saves, lambda: self._save() if self.run == run else None)
        return True

    def _resume(self) -> bool:
        self._must_run()
        before, self.state, self.crashed = self.state, DomainState.RUNNING, False
        return before is not DomainState.RUNNING

    def _discard_memory(self) -> bool:
        before, self.managed_save = self.managed_save, False
        return before

    def _undefine(self) -> bool:
        if not self.down:
            raise ToyError("it runs")
        self.defined = self.managed_save = False
        return True

    def _remove_disk(self, disk: str) -> bool:
        if self.defined or disk in self.in_use:
            raise ToyError("it is in use")
        had = disk in self.disks
        self.disks.discard(disk)
        return had

    def _must_work(self, kind: StepKind) -> None:
        if self._faults.get(kind, 0) > 0:
            self._faults[kind] -= 1
            raise ToyError("it did not work")

    def _must_run(self) -> None:
        if self.down:
            raise ToyError("nothing is running")

    # What happens inside

    def _ask(self, ear: Ear | None, *, restarts: bool, after: float = 0) -> None:
        if ear in (Ear.OBEYS, Ear.HEARS_LATE) and self.state is DomainState.RUNNING and not self._leaving:
            # Until it has heard, it can be asked in another way.
            self._leaving = not after
            boot = self._boots_seen
            self.later(self.now + after + self.temper.takes, lambda: self._leave(boot, restarts))

    def _leave(self, boot: int, restarts: bool) -> None:
        if boot != self._boots_seen or self.state is not DomainState.RUNNING:
            return
        if self.temper.panics and self.temper.preserved:
            self.state, self.crashed = DomainState.PAUSED, True
        elif self.temper.panics:
            self._end(DownReason.CRASHED)
        elif restarts and not self.armed:
            self.resets += 1
            self._begin_boot()
        else:
            self._end(DownReason.GUEST)

    def _end(self, reason: DownReason) -> None:
        self.state, self.down_reason, self.job = DomainState.DOWN, reason, Job.NONE
        self.token, self.armed, self.run, self.crashed = None, False, 0, False
        self._boots_seen += 1

    def _save(self) -> None:
        self._saved = (self.token, self.armed)
        self._end(DownReason.SAVED)
        self.managed_save = True

    def _boot(self) -> bool:
        self.state = DomainState.RUNNING
        if self.managed_save:
            self.managed_save = False
            self.token, self.armed = self._saved
        else:
            self.runs += 1
        self.run = self.runs
        self.started.append(self.now)
        self._begin_boot()
        return True

    def _begin_boot(self) -> None:
        self._boots_seen += 1
        self._leaving = False
        self._presses = 0
        self._agent_at = self.now + self.temper.boots
        self.later(self._agent_at, lambda: None)

"""What other hands do with `virsh` in every phase of every operation, and what comes of it.

The table says for each cell how the operation ends (`/`) and what the VM is then. It follows from these rules: what was
asked for and is so counts, whoever did it (row 18); a new run is never powered off and nothing is started twice; memory
that somebody saved is not brought back into a reboot; a VM that is no longer defined fails the operation (row 19), and
is left running where it was to run again; a run that is paused is waited for, and powered off only by force.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import get_args
from unittest import mock
from uuid import UUID

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from tests.engine.harness import Engine, engine_on
from tests.support.fake import FakeDaemon
from vms import actions
from vms.domain import observation
from vms.domain.decide import pace
from vms.domain.operation import Failure, Outcome, Stage
from vms.domain.policy import Setting
from vms.domain.power import GRACEFUL_ACTIONS, Action, VmStatus
from vms.engine.advance import advance
from vms.hypervisor.base import DomainNotFound
from vms.hypervisor.fake import OBEDIENT, STUBBORN, Temper
from vms.hypervisor.fake.control import Hand
from vms.models import Operation, VirtualMachine

pytestmark = [pytest.mark.django_db, pytest.mark.behaviour(18), pytest.mark.behaviour(19), pytest.mark.behaviour(20)]

# fmt: off
TABLE = """
                       start       shutdown   destroy     undefine   edit        suspend        managedsave resume
shut_down   accepted   gave_up/up  other/down other/down  gave_up/up gave_up/up  gave_up/paused saved/saved gave_up/up
shut_down   waiting    gave_up/up  clean/down other/down  gave_up/up gave_up/up  gave_up/paused saved/saved gave_up/up
shut_down   destroying forced/down other/down forced/down gone/gone  forced/down forced/down    saved/saved forced/down
reboot      accepted   gave_up/up  other/up   other/up    gone/up    gave_up/up  gave_up/paused saved/saved gave_up/up
reboot      waiting    gave_up/up  clean/up   other/up    gone/up    gave_up/up  gave_up/paused saved/saved gave_up/up
reboot      destroying forced/up   other/up   forced/up   gone/up    forced/up   forced/up      saved/saved forced/up
reboot      starting   clean/up    clean/up   clean/up    gone/gone  clean/up    clean/up       clean/up    clean/up
reboot      coming_up  clean/up    again/down again/down  clean/up   clean/up    clean/paused   saved/saved clean/up
power_off   accepted   forced/down other/down other/down  gone/gone  forced/down forced/down    done/down   forced/down
power_off   destroying forced/down other/down forced/down gone/gone  forced/down forced/down    done/down   forced/down
power_cycle accepted   forced/up   other/up   other/up    gone/up    forced/up   forced/up      saved/saved forced/up
power_cycle destroying forced/up   other/up   forced/up   gone/up    forced/up   forced/up      saved/saved forced/up
power_cycle starting   forced/up   forced/up  forced/up   gone/gone  forced/up   forced/up      forced/up   forced/up
power_cycle coming_up  forced/up   again/down again/down  forced/up  forced/up   forced/paused  saved/saved forced/up
run         accepted   other/up    done/up    done/up     gone/gone  done/up     done/up        done/up     done/up
run         starting   done/up     done/up    done/up     gone/gone  done/up     done/up        done/up     done/up
run         coming_up  done/up     again/down again/down  done/up    done/up     done/paused    saved/saved done/up
suspend     accepted   done/saved  again/down again/down  no_save/up done/saved  done/saved     other/saved done/saved
suspend     saving     done/saved  again/down again/down  gone/gone  done/saved  done/saved     done/saved  done/saved
resume      accepted   done/up     done/up    again/down  done/up    done/up     done/up        done/up     other/up
resume      resuming   done/up     done/up    again/down  done/up    done/up     done/up        saved/saved done/up
"""
# fmt: on
#: How the table names outcomes, or failures.
ENDS: dict[str, Outcome | Failure] = {
    "clean": Outcome.CLEAN_AGENT,
    "forced": Outcome.FORCED,
    "gave_up": Outcome.GAVE_UP,
    "done": Outcome.DONE,
    "other": Outcome.OTHER_HAND,
    "gone": Failure.GONE,
    "again": Failure.WENT_DOWN_AGAIN,
    "saved": Failure.SAVED_ELSEWHERE,
    "no_save": Failure.SAVE_FAILED,
}
STATUS = {
    "up": VmStatus.UP,
    "down": VmStatus.DOWN,
    "paused": VmStatus.PAUSED,
    "saved": VmStatus.SUSPENDED,
    "gone": VmStatus.GONE,
}
#: Calls that fail until the other hand was there, so that an operation stays in the phase.
HELD_BY = {Stage.DESTROYING: "destroy", Stage.STARTING: "start", Stage.RESUMING: "resume"}
FORCE_AT_ONCE, PATIENT, NO_OVERRIDE = Setting(True, 0), Setting(False, 600), Setting()


@dataclass(frozen=True)
class Cell:
    """An operation, its phase when the other hand comes, and what that does."""

    action: Action
    phase: Stage
    hand: str

    def __str__(self) -> str:
        return f"{self.action}-{self.phase}-{self.hand}"

    @property
    def temper(self) -> Temper:
        """A guest that stays where it is in this phase until somebody else does something."""
        if self.action is Action.SUSPEND:
            return Temper(save=3)
        brought_down_first = self.phase in (Stage.STARTING, Stage.COMING_UP)
        return OBEDIENT if brought_down_first or self.action is Action.RUN else STUBBORN

    @property
    def override(self) -> Setting:
        """Power off at once where that is the phase, and otherwise never."""
        if self.action not in GRACEFUL_ACTIONS:
            return NO_OVERRIDE
        return FORCE_AT_ONCE if self.phase is Stage.DESTROYING else PATIENT

    @property
    def may_destroy(self) -> bool:
        """True when the operation may power its VM off."""
        forced = self.action in GRACEFUL_ACTIONS and bool(self.override.force)
        return forced or self.action in (Action.POWER_OFF, Action.POWER_CYCLE)

    @property
    def may_start(self) -> bool:
        """True when the operation may start its VM, or restore it."""
        return self.action in (Action.REBOOT, Action.POWER_CYCLE, Action.RUN, Action.RESUME)


def _cells() -> Iterator[tuple[Cell, str]]:
    hands, *rows = (line.split() for line in TABLE.strip().splitlines())
    for action, phase, *ends in rows:
        for hand, end in zip(hands, ends, strict=True):
            yield Cell(Action(action), Stage(phase), hand), end


EXPECTED = dict(_cells())
CELLS = [pytest.param(cell, id=str(cell)) for cell in EXPECTED]


@dataclass(frozen=True)
class Played:
    """What came of one cell.

    Attributes:
        started: How often the operation's start made a difference.
        destroyed: How often its destroy did.
        touched: Runs it destroyed that had begun after it was accepted.
        armed: A reset by the guest would still end its run.
    """

    end: str
    status: str
    started: int
    destroyed: int
    touched: tuple[int, ...]
    armed: bool
    events: int


@pytest.fixture(scope="module")
def played(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> dict[Cell, Played]:
    """Play every cell, all of one action at once, and return what came of each."""
    with contextlib.ExitStack() as stack:
        fake = FakeDaemon(tmp_path_factory.mktemp("fake"))
        stack.callback(fake.close)
        fake.start()
        stack.enter_context(django_db_blocker.unblock())
        stack.callback(call_command, "flush", verbosity=0, interactive=False)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        # What waits for a hand waits as long as it takes.
        patch.setattr(pace, "RETRY_GAPS", (timedelta(seconds=0.5),) * 100)
        patch.setattr(observation, "UP_WITHOUT_AGENT_AFTER", timedelta(minutes=10))
        engine = stack.enter_context(engine_on(fake))
        came: dict[Cell, Played] = {}
        for action in dict.fromkeys(cell.action for cell in EXPECTED):
            came |= _play(engine, [cell for cell in EXPECTED if cell.action is action])
        return came


def _play(engine: Engine, cells: list[Cell]) -> dict[Cell, Played]:
    games = [_Game(engine, cell) for cell in cells]
    engine.list_domains()
    for game in games:
        game.begin()
    game_of = {game.vm.pk: game for game in games}

    def look(vm_id: UUID) -> None:
        advance(vm_id)
        # Now, and not after the looks at all others: a save does not wait.
        if vm_id in game_of:  # one of those played before may be looked at once more
            game_of[vm_id].met()

    with mock.patch.object(engine, "look", look):
        engine.run(lambda: all(game.met() for game in games), "every hand has come in its phase", 60)
    engine.finish_all([game.operation for game in games])
    engine.list_domains()
    came = {game.cell: game.what_came_of_it() for game in games}
    for game in games:
        game.remove()
    return came


class _Game:
    """One cell, played on a VM of its own."""

    operation: Operation
    vm: VirtualMachine

    def __init__(self, engine: Engine, cell: Cell) -> None:
        self.engine, self.cell = engine, cell
        self.uuid = engine.fake.control.define(str(cell), cell.temper, running=cell.action is not Action.RUN)
        if cell.action is Action.RESUME:
            engine.fake.control.hand(self.uuid, "suspend")
        self._met = False

    def begin(self) -> None:
        """Have the operation accepted, and see to it that it stays in its phase."""
        control, cell = self.engine.fake.control, self.cell
        self.vm = VirtualMachine.objects.get(uuid=self.uuid)
        self.runs_before = control.inside(self.uuid)["runs"]
        if cell.phase in HELD_BY:
            control.fail(self.uuid, HELD_BY[cell.phase], times=10_000)
        if cell.phase is Stage.COMING_UP:
            control.set_temper(self.uuid, Temper(agent_late=3600))
        self.operation = actions.request(self.engine.admin, self.vm, cell.action, override=cell.override)
        if cell.phase is Stage.ACCEPTED:
            self._meet()

    def met(self) -> bool:
        """Let the other hand come once the operation is in its phase; True when it has."""
        if not self._met:
            self.operation.refresh_from_db()
            # A call of this phase has been made, so the guest was asked, or the save begun.
            if self.operation.stage == self.cell.phase:
                self._meet()
        return self._met

    def _meet(self) -> None:
        control = self.engine.fake.control
        if self.cell.hand == "edit":
            control.change(self.uuid, description="edited")
        else:
            assert self.cell.hand in get_args(Hand)
            control.hand(self.uuid, self.cell.hand)  # type: ignore[arg-type]
        self._met = True
        if self.cell.phase in HELD_BY:
            control.fail(self.uuid, HELD_BY[self.cell.phase], times=0)
        if self.cell.phase is Stage.COMING_UP and self.engine.runs(self.vm):
            control.hand(self.uuid, "agent_connect")
        if self.cell.override is PATIENT:
            self._let_the_delay_end()

    def _let_the_delay_end(self) -> None:
        """Have waited for ten minutes, shortly from now."""
        soon = timedelta(seconds=1.5)
        rows = Operation.objects.filter(pk=self.operation.pk)
        if self.cell.phase is Stage.ACCEPTED:
            rows.update(delay=soon.seconds + 1)
        else:
            rows.update(deadline_at=timezone.now() + soon, wake_at=timezone.now() + soon)

    def what_came_of_it(self) -> Played:
        self.operation.refresh_from_db()
        self.engine.run(self._settled, "the VM shows what it is")
        log = self.engine.fake.control.log(self.uuid, call=True, effect=True)
        armed = False
        if self.vm.status != VmStatus.GONE:
            run = self.engine.fake.control.inside(self.uuid)["run"]
            armed = run is not None and run["on_reboot"] == "destroy"
        destroys = [entry for entry in log if entry.name == "destroy"]
        return Played(
            end=self.operation.failure or self.operation.outcome,
            status=self.engine.status(self.vm),
            started=sum(entry.name == "start" for entry in log),
            destroyed=len(destroys),
            touched=tuple(entry.run for entry in destroys if entry.run > self.runs_before),
            armed=armed,
            events=self.operation.events.count(),
        )

    def _settled(self) -> bool:
        return self.engine.status(self.vm) in STATUS.values()

    def remove(self) -> None:
        """Leave no domain behind."""
        # One that was undefined is gone with its run.
        with contextlib.suppress(DomainNotFound):
            self.engine.undefine(self.vm)


@pytest.mark.parametrize("cell", CELLS)
def test_it_ends_as_the_rules_say_and_the_vm_shows_what_it_is(played: dict[Cell, Played], cell: Cell) -> None:
    end, state = EXPECTED[cell].split("/")
    came = played[cell]
    assert (came.end, came.status) == (ENDS[end], STATUS[state])


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_is_started_twice_or_powered_off_that_must_not_be(played: dict[Cell, Played], cell: Cell) -> None:
    came = played[cell]
    assert came.started <= (1 if cell.may_start else 0)
    assert came.destroyed <= (1 if cell.may_destroy else 0)
    assert not came.touched


@pytest.mark.parametrize("cell", CELLS)
def test_no_intent_is_left_and_events_tell_begin_and_end(played: dict[Cell, Played], cell: Cell) -> None:
    assert not played[cell].armed
    assert played[cell].events >= 2

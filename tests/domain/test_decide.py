"""Single decisions that stories seldom come to: lost answers, late looks, VMs that hang, runs without a mark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.domain.simulator import accepted, moment, policy_of
from vms.domain.decide import (
    Call,
    Finish,
    Move,
    Note,
    Wait,
    decide,
    decide_gone,
    decide_heard_start,
    decide_unreachable,
)
from vms.domain.observation import DomainState, DownReason, Job, Observation
from vms.domain.operation import ASKS, Failure, Operation, Outcome, Stage, Step, StepKind
from vms.domain.power import Action

RUNNING = Observation(DomainState.RUNNING, run_token="ours", agent_channel=True, agent_connected=True)
NO_AGENT = replace(RUNNING, agent_connected=False)
BARE = replace(NO_AGENT, acpi=False)
DOWN = Observation(DomainState.DOWN, down_reason=DownReason.GUEST)
DESTROYED = replace(DOWN, down_reason=DownReason.DESTROYED)
PATIENT, FORCED = policy_of(force=False, delay=20), policy_of(force=True, delay=20)


def ok(kind: StepKind, at: float = 0) -> Step:
    return Step(kind, moment(at), moment(at), ok=True)


def failed(kind: StepKind, at: float = 0, answered: float | None = None) -> Step:
    return Step(kind, moment(at), moment(at if answered is None else answered))


def lost(kind: StepKind, at: float = 0) -> Step:
    return Step(kind, moment(at))


def op(action: Action, stage: Stage, *steps: Step, token: str | None = "ours", force: bool = False) -> Operation:
    """An operation with this journal, whose guest, if asked, was first asked at 0."""
    new = replace(accepted(action, FORCED if force else PATIENT), stage=stage, steps=steps, run_token=token)
    return replace(new, asked_at=moment(0), deadline_at=moment(20)) if new.all(*ASKS) else new


def brought_down(stage: Stage, how: Outcome, *steps: Step) -> Operation:
    """A reboot whose VM has gone down already."""
    return replace(op(Action.REBOOT, stage, ok(StepKind.PREPARE), *steps), brought_down=how)


def asked(*steps: Step, force: bool = False) -> Operation:
    return op(Action.REBOOT, Stage.WAITING, ok(StepKind.PREPARE), *steps, force=force)


ASK, PRESS = Call(StepKind.ASK_AGENT, Stage.WAITING), Call(StepKind.PRESS_BUTTON, Stage.WAITING)
ASK_ANEW, PRESS_ANEW = replace(ASK, starts_delay=True), replace(PRESS, starts_delay=True)
PICTURE = Call(StepKind.SCREENSHOT, Stage.DESTROYING)
DESTROY, START = Call(StepKind.DESTROY, Stage.DESTROYING), Call(StepKind.START, Stage.STARTING)
RELENT = Call(StepKind.RELENT, Stage.WAITING)


@pytest.mark.behaviour(5)
@pytest.mark.parametrize(
    ("journal", "seen", "now", "move"),
    [
        ([lost(StepKind.ASK_AGENT)], RUNNING, 1, ASK_ANEW),
        ([lost(StepKind.ASK_AGENT)] * 2, RUNNING, 1, ASK_ANEW),
        ([lost(StepKind.ASK_AGENT)] * 3, RUNNING, 1, PRESS),
        ([lost(StepKind.ASK_AGENT)] * 3, BARE, 1, Wait(moment(20))),
        ([lost(StepKind.ASK_AGENT)], NO_AGENT, 1, Wait(moment(10))),
        ([lost(StepKind.ASK_AGENT), ok(StepKind.ASK_AGENT, 14)], RUNNING, 14, Wait(moment(17))),
        ([lost(StepKind.ASK_AGENT), ok(StepKind.ASK_AGENT, 14)], RUNNING, 17, PRESS),
        ([lost(StepKind.ASK_AGENT), failed(StepKind.ASK_AGENT, 1)], BARE, 1, Wait(moment(20))),
        ([lost(StepKind.ASK_AGENT), failed(StepKind.ASK_AGENT, 1)], NO_AGENT, 1, PRESS),
        ([failed(StepKind.ASK_AGENT)], RUNNING, 0, PRESS),
        ([ok(StepKind.ASK_AGENT)], RUNNING, 9.9, Wait(moment(10))),
        ([ok(StepKind.ASK_AGENT)], RUNNING, 10, PRESS),
        ([lost(StepKind.PRESS_BUTTON)], NO_AGENT, 1, PRESS_ANEW),
        ([failed(StepKind.ASK_AGENT), lost(StepKind.PRESS_BUTTON)], NO_AGENT, 1, PRESS_ANEW),
        ([ok(StepKind.ASK_AGENT), lost(StepKind.PRESS_BUTTON, 10)], NO_AGENT, 11, PRESS),
        ([lost(StepKind.PRESS_BUTTON)] * 3, NO_AGENT, 1, Wait(moment(10))),
        ([failed(StepKind.PRESS_BUTTON)], NO_AGENT, 1, Wait(moment(10))),
        ([ok(StepKind.PRESS_BUTTON, 0), ok(StepKind.PRESS_BUTTON, 10)], NO_AGENT, 11, Wait(moment(20))),
    ],
)
@pytest.mark.parametrize("force", [True, False])
def test_who_is_asked_next(journal: list[Step], seen: Observation, now: float, move: Move, force: bool) -> None:
    assert decide(asked(*journal, force=force), seen, moment(now)) == move


def test_an_agent_that_refused_and_is_still_there_is_not_given_time_for_an_answer_that_was_lost() -> None:
    journal = lost(StepKind.ASK_AGENT), failed(StepKind.ASK_AGENT, 1)
    seen = replace(BARE, agent_connected=True)
    assert decide(asked(*journal, force=True), seen, moment(1)) == PICTURE
    # What would take the run down, or arm it, is not left behind while it may still be on its way.
    assert decide(asked(*journal), seen, moment(1)) == Wait(moment(5))
    assert decide(asked(*journal), seen, moment(5)) == RELENT


def test_the_first_ask_starts_the_delay_and_no_other() -> None:
    prepared = op(Action.SHUT_DOWN, Stage.ACCEPTED, ok(StepKind.PREPARE))
    assert decide(prepared, RUNNING, moment(0)) == ASK_ANEW
    assert decide(prepared, NO_AGENT, moment(0)) == PRESS_ANEW
    assert decide(asked(ok(StepKind.PRESS_BUTTON)), RUNNING, moment(1)) == ASK


@pytest.mark.behaviour(4, 25)
@pytest.mark.parametrize("force", [True, False])
def test_a_guest_that_may_never_have_been_asked_is_asked_after_the_delay_and_given_it_anew(force: bool) -> None:
    """All workers were dead from before the request was sent until after the delay."""
    for journal in ([lost(StepKind.ASK_AGENT)], [failed(StepKind.ASK_AGENT), lost(StepKind.PRESS_BUTTON)]):
        again = replace(ASK if journal[0].answered_at is None else PRESS, starts_delay=True)
        assert decide(asked(*journal, force=force), RUNNING, moment(60)) == again


def test_the_delay_does_not_begin_anew_for_ever_nor_once_a_person_has_ended_it() -> None:
    for journal in (
        [lost(StepKind.ASK_AGENT)] * 3,
        [lost(StepKind.ASK_AGENT), ok(StepKind.FORCE_NOW, 1)],
        [ok(StepKind.ASK_AGENT), lost(StepKind.PRESS_BUTTON, 10)],
        [lost(StepKind.ASK_AGENT), failed(StepKind.ASK_AGENT, 1)],
    ):
        assert decide(asked(*journal, force=True), RUNNING, moment(20)) == PICTURE


@pytest.mark.behaviour(2, 4)
def test_at_the_delay_and_not_before_a_vm_is_powered_off_or_left() -> None:
    journal = ok(StepKind.ASK_AGENT), ok(StepKind.PRESS_BUTTON, 10)
    assert decide(asked(*journal, force=True), RUNNING, moment(19.999)) == Wait(moment(20))
    assert decide(asked(*journal, force=True), RUNNING, moment(20)) == PICTURE
    assert decide(asked(*journal), RUNNING, moment(20)) == RELENT
    relented = asked(*journal, ok(StepKind.RELENT, 20))
    assert decide(relented, RUNNING, moment(20)) == Finish(Outcome.GAVE_UP)


def test_relenting_is_tried_again_but_not_for_ever() -> None:
    waited = asked(ok(StepKind.ASK_AGENT), ok(StepKind.PRESS_BUTTON, 10))
    for fault in (failed, lost):
        twice = replace(waited, steps=(*waited.steps, *[fault(StepKind.RELENT, 20)] * 2))
        thrice = replace(waited, steps=(*waited.steps, *[fault(StepKind.RELENT, 20)] * 3))
        assert decide(twice, RUNNING, moment(20)) == RELENT
        assert decide(thrice, RUNNING, moment(20)) == Finish(Outcome.GAVE_UP)


@pytest.mark.behaviour(25)
@pytest.mark.parametrize(
    ("action", "stage", "kind", "seen"),
    [
        (Action.REBOOT, Stage.DESTROYING, StepKind.DESTROY, RUNNING),
        (Action.REBOOT, Stage.STARTING, StepKind.START, DOWN),
        (Action.SUSPEND, Stage.SAVING, StepKind.SAVE, RUNNING),
        (Action.RESUME, Stage.RESUMING, StepKind.RESUME, replace(RUNNING, state=DomainState.PAUSED)),
    ],
)
def test_a_call_without_an_answer_is_not_sent_again_while_it_may_be_under_way(
    action: Action, stage: Stage, kind: StepKind, seen: Observation
) -> None:
    once = op(action, stage, ok(StepKind.PREPARE), lost(kind, 10), force=True)
    assert decide(once, seen, moment(10.1)) == decide(once, seen, moment(14.9)) == Wait(moment(15))
    assert decide(once, seen, moment(15)) == Call(kind, stage)


@pytest.mark.behaviour(27)
def test_the_last_attempt_is_given_time_as_well() -> None:
    attempts = [lost(StepKind.START, at) for at in (0, 5, 10, 15, 20, 25)]
    starting = op(Action.REBOOT, Stage.STARTING, *attempts)
    assert decide(starting, DOWN, moment(26)) == Wait(moment(30))
    assert decide(starting, RUNNING, moment(26)) == Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)
    fresh = replace(RUNNING, run_token=None)
    assert decide(starting, fresh, moment(26)) == Note(StepKind.STARTED, Stage.COMING_UP)
    assert decide(starting, DOWN, moment(30)) == Finish(Outcome.FAILED, Failure.START_FAILED)


def test_the_gap_before_the_next_attempt_is_counted_from_the_answer() -> None:
    starting = op(Action.REBOOT, Stage.STARTING, failed(StepKind.START, 0, answered=4))
    assert decide(starting, DOWN, moment(4)) == Wait(moment(5))
    assert decide(starting, DOWN, moment(5)) == START


def test_a_guest_that_went_down_before_a_lost_destroy_is_not_called_forced() -> None:
    journal = ok(StepKind.PREPARE), ok(StepKind.ASK_AGENT), lost(StepKind.DESTROY, 20)
    destroying = op(Action.SHUT_DOWN, Stage.DESTROYING, *journal, force=True)
    assert decide(destroying, DOWN, moment(21)) == Finish(Outcome.CLEAN_AGENT)
    assert decide(destroying, DESTROYED, moment(21)) == Finish(Outcome.FORCED)
    assert decide(destroying, replace(DOWN, down_reason=DownReason.UNKNOWN), moment(21)) == Finish(Outcome.FORCED)
    known = replace(destroying, steps=(*journal[:2], ok(StepKind.DESTROY, 20)))
    assert decide(known, DOWN, moment(21)) == Finish(Outcome.FORCED)


@pytest.mark.parametrize("reason", [DownReason.DESTROYED, DownReason.SAVED])
def test_a_vm_that_somebody_else_ended_while_its_guest_was_asked_is_no_clean_shut_down(reason: DownReason) -> None:
    waiting = op(Action.SHUT_DOWN, Stage.WAITING, ok(StepKind.PREPARE), ok(StepKind.ASK_AGENT))
    assert decide(waiting, replace(DOWN, down_reason=reason), moment(3)) == Finish(Outcome.OTHER_HAND)


# The picture before a power-off


@pytest.mark.behaviour(31)
@pytest.mark.parametrize("taken", [ok, failed, lost])
def test_one_picture_is_taken_before_a_power_off_and_whatever_comes_of_it_the_power_off_follows(
    taken: Callable[..., Step],
) -> None:
    journal = ok(StepKind.PREPARE), ok(StepKind.PRESS_BUTTON)
    assert decide(asked(*journal[1:], force=True), NO_AGENT, moment(20)) == PICTURE
    pictured = op(Action.REBOOT, Stage.DESTROYING, *journal, taken(StepKind.SCREENSHOT, 20), force=True)
    assert decide(pictured, NO_AGENT, moment(20)) == DESTROY
    retried = replace(pictured, steps=(*pictured.steps, failed(StepKind.DESTROY, 20)))
    assert decide(retried, NO_AGENT, moment(21)) == DESTROY


@pytest.mark.behaviour(31)
def test_a_guest_that_goes_down_while_its_picture_is_taken_went_down_cleanly() -> None:
    journal = ok(StepKind.PREPARE), ok(StepKind.PRESS_BUTTON), ok(StepKind.SCREENSHOT, 20)
    assert decide(op(Action.SHUT_DOWN, Stage.DESTROYING, *journal, force=True), DOWN, moment(21)) == Finish(
        Outcome.CLEAN_ACPI
    )


@pytest.mark.behaviour(31)
def test_nothing_that_is_down_is_pictured() -> None:
    assert decide(op(Action.POWER_OFF, Stage.ACCEPTED, token=None), DOWN, moment(0)) == Finish(Outcome.OTHER_HAND)


# Power off of a VM that hangs

MARK = Call(StepKind.PREPARE, Stage.ACCEPTED)


def test_a_hung_vm_that_swallows_the_mark_is_powered_off_after_the_second_try() -> None:
    new = op(Action.POWER_OFF, Stage.ACCEPTED, token=None)
    seen = replace(RUNNING, run_token=None)
    assert decide(new, seen, moment(0)) == MARK
    assert decide(replace(new, steps=(lost(StepKind.PREPARE),)), seen, moment(30)) == MARK
    assert decide(replace(new, steps=(lost(StepKind.PREPARE),) * 2), seen, moment(60)) == PICTURE
    assert decide(replace(new, steps=(failed(StepKind.PREPARE),)), seen, moment(0)) == PICTURE
    no_picture = replace(new, stage=Stage.DESTROYING, steps=(failed(StepKind.PREPARE), failed(StepKind.SCREENSHOT)))
    assert decide(no_picture, seen, moment(2)) == DESTROY


def test_a_mark_that_shows_up_late_does_not_make_its_run_a_stranger() -> None:
    journal = failed(StepKind.PREPARE), failed(StepKind.DESTROY, 0)
    unmarked = op(Action.POWER_OFF, Stage.DESTROYING, *journal, token=None)
    assert decide(unmarked, RUNNING, moment(1)) == DESTROY


def test_a_vm_that_runs_after_a_destroy_that_worked_is_a_new_run_even_without_a_mark() -> None:
    journal = failed(StepKind.PREPARE), ok(StepKind.DESTROY)
    unmarked = op(Action.POWER_OFF, Stage.DESTROYING, *journal, token=None)
    restarted = Finish(Outcome.FAILED, Failure.STARTED_ELSEWHERE)
    assert decide(unmarked, replace(RUNNING, run_token=None), moment(9)) == restarted


@pytest.mark.behaviour(20)
@pytest.mark.parametrize("action", [Action.REBOOT, Action.SHUT_DOWN, Action.POWER_OFF, Action.POWER_CYCLE])
def test_a_vm_that_begins_to_migrate_is_not_touched_before_it_has_arrived(action: Action) -> None:
    moving = replace(RUNNING, job=Job.MIGRATING)
    due = op(action, Stage.WAITING, ok(StepKind.PREPARE), ok(StepKind.ASK_AGENT), force=True)
    assert isinstance(decide(due, moving, moment(30)), Wait)
    assert decide(due, RUNNING, moment(30)) == PICTURE


def test_a_graceful_action_marks_its_run_before_it_asks_and_repeats_a_lost_mark_at_once() -> None:
    new = op(Action.REBOOT, Stage.ACCEPTED, lost(StepKind.PREPARE), token=None)
    assert decide(new, RUNNING, moment(0.1)) == MARK


# Taking back what was armed

ARMED = replace(RUNNING, reset_ends_run=True)


@pytest.mark.behaviour(9)
def test_a_cancelled_operation_takes_back_a_mark_whose_answer_was_lost() -> None:
    cancelled = replace(op(Action.REBOOT, Stage.ACCEPTED, lost(StepKind.PREPARE), token=None), cancel_requested=True)
    assert decide(cancelled, ARMED, moment(5)) == Call(StepKind.RELENT, Stage.ACCEPTED)
    assert decide(cancelled, replace(RUNNING, run_token=None), moment(5)) == Finish(Outcome.CANCELLED)
    assert decide(replace(cancelled, steps=()), ARMED, moment(1)) == Finish(Outcome.CANCELLED)


@pytest.mark.behaviour(25)
@pytest.mark.parametrize("kind", [StepKind.PREPARE, StepKind.ASK_AGENT, StepKind.ASK_RESTART, StepKind.PRESS_BUTTON])
def test_no_run_is_left_behind_or_begun_while_a_call_for_the_old_one_may_be_under_way(kind: StepKind) -> None:
    """It would arm the new run, or take it down."""
    cancelled = replace(op(Action.REBOOT, Stage.WAITING, lost(kind, 1), token=None), cancel_requested=True)
    assert decide(cancelled, ARMED, moment(5.9)) == Wait(moment(6))
    assert decide(op(Action.SHUT_DOWN, Stage.WAITING, lost(kind, 1)), DOWN, moment(5.9)) == Wait(moment(6))
    assert isinstance(decide(op(Action.SHUT_DOWN, Stage.WAITING, lost(kind, 1)), DOWN, moment(6)), Finish)
    down = op(Action.REBOOT, Stage.STARTING, lost(kind, 1), ok(StepKind.WENT_DOWN, 2))
    assert decide(down, DOWN, moment(5.9)) == Wait(moment(6))
    assert decide(down, DOWN, moment(6)) == START


@pytest.mark.behaviour(25)
def test_a_power_off_that_names_no_run_is_waited_for_and_one_that_does_is_not() -> None:
    journal = lost(StepKind.DESTROY, 1), ok(StepKind.WENT_DOWN, 2)
    cycle = op(Action.POWER_CYCLE, Stage.STARTING, *journal)
    assert decide(cycle, DESTROYED, moment(3)) == START
    assert decide(replace(cycle, run_token=None), DESTROYED, moment(3)) == Wait(moment(6))


def test_a_new_run_is_not_touched_to_take_anything_back() -> None:
    cancelled = replace(asked(ok(StepKind.ASK_AGENT)), cancel_requested=True)
    assert decide(cancelled, RUNNING, moment(3)) == RELENT
    assert decide(cancelled, replace(ARMED, run_token=None), moment(3)) == Finish(Outcome.CANCELLED)
    assert decide(cancelled, replace(ARMED, run_token="another"), moment(3)) == Finish(Outcome.CANCELLED)


def test_a_vm_that_cannot_be_marked_is_not_left_armed() -> None:
    attempts = [failed(StepKind.PREPARE, at) for at in (0, 1, 3, 7, 15, 31)]
    unmarked = op(Action.REBOOT, Stage.ACCEPTED, *attempts, token=None)
    assert decide(unmarked, ARMED, moment(31)) == Call(StepKind.RELENT, Stage.ACCEPTED)
    assert decide(unmarked, NO_AGENT, moment(31)) == Finish(Outcome.FAILED, Failure.PREPARE_FAILED)


@pytest.mark.behaviour(23)
def test_a_power_off_that_fails_takes_back_what_the_operation_before_it_armed() -> None:
    attempts = [failed(StepKind.DESTROY, at) for at in (0, 1, 3, 7, 15, 31)]
    destroying = op(Action.POWER_OFF, Stage.DESTROYING, ok(StepKind.PREPARE), *attempts)
    assert decide(destroying, ARMED, moment(31)) == Call(StepKind.RELENT, Stage.DESTROYING)
    assert decide(destroying, RUNNING, moment(31)) == Finish(Outcome.FAILED, Failure.DESTROY_FAILED)


@pytest.mark.behaviour(9)
def test_a_cancel_that_comes_once_the_vm_is_being_powered_off_is_too_late() -> None:
    destroying = op(Action.REBOOT, Stage.DESTROYING, ok(StepKind.PREPARE), failed(StepKind.DESTROY, 5), force=True)
    assert decide(replace(destroying, cancel_requested=True), RUNNING, moment(6)) == DESTROY


# A run that was ended before it was looked at


@pytest.mark.behaviour(25)
def test_a_lost_start_that_was_heard_of_is_not_sent_again() -> None:
    sent = op(Action.REBOOT, Stage.STARTING, lost(StepKind.START, 5))
    assert decide_heard_start(sent, moment(5.1)) == Note(StepKind.STARTED, Stage.COMING_UP)
    assert decide_heard_start(sent, moment(4.9)) is None
    assert decide_heard_start(op(Action.REBOOT, Stage.STARTING), moment(6)) is None
    assert decide_heard_start(replace(sent, stage=Stage.COMING_UP), moment(6)) is None
    heard = replace(sent, stage=Stage.COMING_UP, steps=(*sent.steps, ok(StepKind.STARTED, 5.1)))
    assert decide(heard, DOWN, moment(60)) == Finish(Outcome.FAILED, Failure.WENT_DOWN_AGAIN)


# Guests that crash

CRASHED = replace(RUNNING, state=DomainState.PAUSED, crashed=True)


def test_a_guest_that_crashed_when_it_was_asked_is_down_but_not_clean() -> None:
    waiting = op(Action.SHUT_DOWN, Stage.WAITING, ok(StepKind.PREPARE), ok(StepKind.ASK_AGENT))
    assert decide(waiting, replace(DOWN, down_reason=DownReason.CRASHED), moment(3)) == Finish(Outcome.DONE)


@pytest.mark.behaviour(20)
def test_a_crashed_guest_that_is_preserved_is_waited_for_as_a_paused_one() -> None:
    journal = ok(StepKind.ASK_AGENT), ok(StepKind.PRESS_BUTTON, 10)
    assert decide(asked(*journal), CRASHED, moment(15)) == Wait(moment(20))
    assert decide(asked(*journal), CRASHED, moment(20)) == RELENT
    assert decide(asked(*journal, force=True), CRASHED, moment(20)) == PICTURE
    assert decide(op(Action.POWER_CYCLE, Stage.ACCEPTED), CRASHED, moment(0)) == PICTURE


@pytest.mark.behaviour(35)
def test_a_guest_that_crashes_as_it_comes_up_has_not_come_back() -> None:
    journal = ok(StepKind.START), ok(StepKind.STARTED)
    coming = replace(op(Action.REBOOT, Stage.COMING_UP, *journal), brought_down=Outcome.CLEAN_AGENT)
    assert decide(coming, replace(CRASHED, run_token=None), moment(1)) == Finish(Outcome.FAILED, Failure.CRASHED)


# Power off of a VM that an operation it overtook had brought down


@pytest.mark.behaviour(23)
@pytest.mark.parametrize(
    ("overtaken", "reason", "outcome"),
    [
        (brought_down(Stage.STARTING, Outcome.CLEAN_ACPI), DownReason.GUEST, Outcome.CLEAN_ACPI),
        (brought_down(Stage.STARTING, Outcome.FORCED, lost(StepKind.START)), DownReason.DESTROYED, Outcome.FORCED),
        (brought_down(Stage.STARTING, Outcome.FORCED, ok(StepKind.START)), DownReason.GUEST, Outcome.OTHER_HAND),
        (asked(ok(StepKind.ASK_AGENT)), DownReason.GUEST, Outcome.CLEAN_AGENT),
        (asked(ok(StepKind.ASK_AGENT)), DownReason.DESTROYED, Outcome.OTHER_HAND),
        (op(Action.REBOOT, Stage.DESTROYING, lost(StepKind.DESTROY)), DownReason.DESTROYED, Outcome.FORCED),
        (op(Action.REBOOT, Stage.ACCEPTED), DownReason.GUEST, Outcome.OTHER_HAND),
        (op(Action.RUN, Stage.STARTING, lost(StepKind.START), token=None), DownReason.UNKNOWN, Outcome.DONE),
        (op(Action.SUSPEND, Stage.SAVING, lost(StepKind.SAVE), token=None), DownReason.GUEST, Outcome.OTHER_HAND),
        (None, DownReason.GUEST, Outcome.OTHER_HAND),
    ],
)
def test_a_power_off_says_how_the_vm_went_down_before_it(
    overtaken: Operation | None, reason: DownReason, outcome: Outcome
) -> None:
    seen = replace(DOWN, down_reason=reason)
    power_off = replace(op(Action.POWER_OFF, Stage.ACCEPTED, token=None), overtaken=overtaken)
    assert decide(power_off, seen, moment(9)) == Finish(outcome)
    power_cycle = replace(power_off, action=Action.POWER_CYCLE)
    assert decide(power_cycle, seen, moment(9)) == Note(StepKind.WENT_DOWN, Stage.STARTING, outcome)


# The hard deadline

TOO_LATE = Finish(Outcome.FAILED, Failure.DEADLINE)


def rest_of(op: Operation, seen: Observation, *, at: float) -> list[Move]:
    """Return the moves of an operation that only writes down what is seen now, up to its end."""
    moves = [decide(op, seen, moment(at))]
    while isinstance(note := moves[-1], Note):
        down, steps = note.brought_down or op.brought_down, (*op.steps, ok(note.kind, at))
        op = replace(op, stage=note.stage, brought_down=down, steps=steps)
        moves.append(decide(op, seen, moment(at)))
    return moves


@pytest.mark.behaviour(28)
def test_past_the_hard_deadline_what_has_come_true_counts_and_nothing_new_is_begun() -> None:
    late = moment(10_000)
    down = op(Action.SHUT_DOWN, Stage.WAITING, ok(StepKind.PREPARE), ok(StepKind.ASK_AGENT))
    assert decide(down, DOWN, late) == Finish(Outcome.CLEAN_AGENT)
    reboot = asked(ok(StepKind.ASK_AGENT), ok(StepKind.RELENT, 20))
    assert decide(reboot, RUNNING, late) == Finish(Outcome.GAVE_UP)
    up = replace(op(Action.RUN, Stage.COMING_UP, ok(StepKind.START), ok(StepKind.STARTED), token=None))
    assert decide(up, replace(RUNNING, run_token=None), late) == Finish(Outcome.DONE)

    assert decide(asked(ok(StepKind.ASK_AGENT), force=True), RUNNING, late) == RELENT
    assert decide(asked(ok(StepKind.ASK_AGENT), ok(StepKind.RELENT), force=True), RUNNING, late) == TOO_LATE
    assert decide(op(Action.RUN, Stage.ACCEPTED, token=None), DOWN, late) == TOO_LATE


@pytest.mark.behaviour(28)
def test_a_vm_that_runs_again_is_back_however_late_somebody_looks() -> None:
    started = brought_down(Stage.STARTING, Outcome.CLEAN_AGENT, lost(StepKind.START, 1))
    assert rest_of(started, replace(RUNNING, run_token="new"), at=10_000) == [
        Note(StepKind.STARTED, Stage.COMING_UP),
        Finish(Outcome.CLEAN_AGENT),
    ]
    # Whether its guest has come back is not known in time.
    assert rest_of(started, replace(NO_AGENT, run_token="new"), at=10_000) == [
        Note(StepKind.STARTED, Stage.COMING_UP),
        TOO_LATE,
    ]


@pytest.mark.behaviour(28)
@pytest.mark.parametrize("told", [StepKind.GUEST_RESET, StepKind.AGENT_LEFT])
def test_a_guest_that_has_restarted_inside_is_back_however_late_somebody_looks(told: StepKind) -> None:
    restarted = replace(asked(ok(StepKind.ASK_RESTART), ok(told, 2)), inside=True)
    assert rest_of(restarted, RUNNING, at=10_000) == [
        Note(StepKind.STARTED, Stage.COMING_UP, brought_down=Outcome.GUEST_REBOOTED),
        Finish(Outcome.GUEST_REBOOTED),
    ]


@pytest.mark.behaviour(28)
def test_a_reboot_that_leaves_its_vm_down_says_that_it_went_down_however_late_somebody_looks() -> None:
    assert rest_of(asked(ok(StepKind.ASK_AGENT)), DOWN, at=10_000) == [
        Note(StepKind.WENT_DOWN, Stage.STARTING, brought_down=Outcome.CLEAN_AGENT),
        TOO_LATE,
    ]


@pytest.mark.behaviour(28)
def test_past_the_hard_deadline_nothing_is_fallen_back_to() -> None:
    marked = replace(op(Action.REBOOT, Stage.ACCEPTED, ok(StepKind.PREPARE)), inside=True)
    assert decide(marked, NO_AGENT, moment(1)) == Note(StepKind.FALL_BACK, Stage.ACCEPTED, falls_back=True)
    assert rest_of(marked, NO_AGENT, at=10_000) == [TOO_LATE]


@pytest.mark.behaviour(28, 29)
def test_an_unreachable_host_is_waited_for_until_the_hard_deadline_and_no_longer() -> None:
    waiting = asked(ok(StepKind.ASK_AGENT))
    end = waiting.hard_deadline_at
    assert decide_unreachable(waiting, moment(1)) == Wait(moment(3))
    assert decide_unreachable(replace(waiting, hard_deadline_at=moment(2)), moment(1)) == Wait(moment(2))
    assert decide_unreachable(waiting, end) == Finish(Outcome.FAILED, Failure.HOST_UNREACHABLE)
    assert decide_gone(waiting, moment(1)) == Finish(Outcome.FAILED, Failure.GONE)


# A VM that was removed


def removing(*steps: Step, disks: tuple[str, ...] = ("/a",)) -> Operation:
    """Return a removal with this journal."""
    stage = Stage.UNDEFINING if steps else Stage.ACCEPTED
    return replace(accepted(Action.REMOVE), stage=stage, steps=steps, disks=disks)


def test_an_undefine_whose_answer_was_lost_and_a_vm_that_is_gone_are_a_success() -> None:
    lost = Step(StepKind.UNDEFINE, moment(0))
    assert decide_gone(removing(lost, disks=()), moment(1)) == Finish(Outcome.DONE)
    assert decide_gone(removing(lost), moment(1)) == Call(StepKind.REMOVE_DISK, Stage.REMOVING_DISKS, target="/a")


@pytest.mark.parametrize("steps", [(), (Step(StepKind.UNDEFINE, moment(0), moment(0)),)])
def test_a_vm_that_somebody_else_undefined_keeps_its_disks(steps: tuple[Step, ...]) -> None:
    assert decide_gone(removing(*steps), moment(1)) == Finish(Outcome.FAILED, Failure.GONE)
    assert decide_gone(removing(*steps, disks=()), moment(1)) == Finish(Outcome.OTHER_HAND)


def test_one_disk_that_stays_holds_up_no_other() -> None:
    refused = [Step(StepKind.REMOVE_DISK, moment(at), moment(at), target="/a") for at in (0, 1, 3)]
    done = removing(ok(StepKind.UNDEFINE), *refused, disks=("/a", "/b"))
    assert decide_gone(done, moment(4)) == Call(StepKind.REMOVE_DISK, Stage.REMOVING_DISKS, target="/b")
    gone = replace(done, steps=(*done.steps, replace(ok(StepKind.REMOVE_DISK), target="/b")))
    assert decide_gone(gone, moment(4)) == Finish(Outcome.FAILED, Failure.DISKS_LEFT)


def test_disks_that_are_left_at_the_hard_deadline_stay() -> None:
    late = removing(ok(StepKind.UNDEFINE))
    assert decide_gone(late, late.hard_deadline_at) == Finish(Outcome.FAILED, Failure.DISKS_LEFT)


# Memory that somebody saved, restored or dropped


def test_a_start_never_brings_old_memory_back_into_a_reboot() -> None:
    starting = replace(op(Action.REBOOT, Stage.STARTING), brought_down=Outcome.CLEAN_AGENT)
    saved_elsewhere = Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)
    assert decide(starting, replace(DOWN, managed_save=True), moment(1)) == saved_elsewhere
    assert decide(starting, RUNNING, moment(1)) == saved_elsewhere


def test_a_reboot_whose_vm_was_saved_meanwhile_ends_there() -> None:
    seen = replace(DOWN, down_reason=DownReason.SAVED, managed_save=True)
    assert decide(asked(ok(StepKind.ASK_AGENT)), seen, moment(3)) == Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)


@pytest.mark.behaviour(25)
def test_a_vm_that_is_down_after_a_start_that_worked_is_not_started_a_second_time() -> None:
    starting = op(Action.REBOOT, Stage.STARTING, ok(StepKind.START))
    assert decide(starting, DOWN, moment(0)) == Finish(Outcome.FAILED, Failure.WENT_DOWN_AGAIN)


def test_a_vm_that_somebody_paused_while_it_came_up_has_come_back() -> None:
    journal = ok(StepKind.START), ok(StepKind.STARTED)
    coming = replace(op(Action.REBOOT, Stage.COMING_UP, *journal), brought_down=Outcome.FORCED)
    assert decide(coming, Observation(DomainState.PAUSED), moment(1)) == Finish(Outcome.FORCED)


def test_a_save_is_waited_for_while_the_host_works_at_it_and_a_lost_one_is_repeated_at_most_twice() -> None:
    saving = op(Action.SUSPEND, Stage.SAVING, lost(StepKind.SAVE), token=None)
    assert decide(saving, replace(RUNNING, job=Job.SAVING), moment(60)) == Wait(moment(62))
    assert decide(saving, RUNNING, moment(5)) == Call(StepKind.SAVE, Stage.SAVING)
    thrice = replace(saving, steps=(lost(StepKind.SAVE),) * 3)
    assert decide(thrice, RUNNING, moment(60)) == Finish(Outcome.FAILED, Failure.SAVE_FAILED)
    assert decide(saving, DOWN, moment(60)) == Finish(Outcome.FAILED, Failure.WENT_DOWN_AGAIN)


@pytest.mark.behaviour(18)
def test_a_save_that_the_host_has_taken_is_not_sent_again_to_a_vm_that_somebody_may_have_restored() -> None:
    taken = op(Action.SUSPEND, Stage.SAVING, lost(StepKind.SAVE), ok(StepKind.SAVE, 5), token=None)
    # It may wait at the host for a while before it shows.
    assert decide(taken, RUNNING, moment(10)) == Wait(moment(45))
    assert decide(taken, replace(RUNNING, job=Job.SAVING), moment(44)) == Wait(moment(46))
    assert decide(taken, RUNNING, moment(45)) == Finish(Outcome.FAILED, Failure.NOT_SAVED)


PAUSED, ASLEEP = Observation(DomainState.PAUSED), Observation(DomainState.SLEEPING)


@pytest.mark.behaviour(18)
@pytest.mark.parametrize("action", [Action.RESUME, Action.RUN])
def test_a_vm_that_somebody_paused_again_after_it_ran_on_is_left_paused(action: Action) -> None:
    resumed = op(action, Stage.RESUMING, ok(StepKind.RESUME), token=None)
    assert decide(resumed, PAUSED, moment(0)) == Finish(Outcome.DONE)
    assert decide(resumed, replace(PAUSED, crashed=True), moment(0)) == Finish(Outcome.FAILED, Failure.CRASHED)
    again = op(action, Stage.RESUMING, failed(StepKind.RESUME), token=None)
    assert decide(again, PAUSED, moment(1)) == Call(StepKind.RESUME, Stage.RESUMING)


def test_a_guest_takes_a_moment_to_wake() -> None:
    woken = op(Action.RESUME, Stage.RESUMING, ok(StepKind.RESUME), token=None)
    assert decide(woken, ASLEEP, moment(0)) == Wait(moment(5))
    assert decide(woken, ASLEEP, moment(5)) == Call(StepKind.RESUME, Stage.RESUMING)


def test_a_graceful_operation_without_a_policy_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="policy"):
        decide(replace(asked(), policy=None), RUNNING, moment(0))

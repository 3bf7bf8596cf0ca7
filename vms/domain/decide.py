"""The authority on what an operation does next, from its journal and one look at its VM.

`decide` never trusts that a call had an effect: it looks at what the hypervisor shows. A call whose answer was never
recorded is verified, after a time in which the hypervisor may still be carrying it out, before it is sent again; what
is harmless to repeat (marking a run, asking a guest) is repeated at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vms.domain.bulk import outdated
from vms.domain.observation import DomainState, DownReason, Job, Observation, is_up
from vms.domain.operation import ASKS, STAGES_IN_FLIGHT, Failure, Operation, Outcome, Stage, Step, StepKind
from vms.domain.policy import PRESS_AGAIN_EVERY
from vms.domain.power import Action

#: A start, destroy or save without an answer may still be under way at the hypervisor for this long.
SETTLE = timedelta(seconds=5)
#: Gaps between attempts of a call that failed; the attempt after the last gap is the last one.
RETRY_GAPS = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16))
#: Ask again at once after a worker died while asking, but not for ever: something about the call may kill workers.
MAX_UNANSWERED_ASKS = 3
#: A power-off marks its run first, so that it ends no other; a hung VM may swallow that call and must not hold it up.
MAX_UNANSWERED_MARKS = 2
#: Calls that would do harm to another run than the one they were meant for; so would a destroy that names no run.
_STRAY = (StepKind.PREPARE, StepKind.ASK_AGENT, StepKind.ASK_RESTART, StepKind.PRESS_BUTTON)
#: How often to look at a VM whose change cannot be timed, when no event arrives.
LOOK_AGAIN = timedelta(seconds=2)
#: How soon to come back to a host that was serving others.
LOOK_AGAIN_BUSY = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class Call:
    """Ask the hypervisor for something; the operation is in `stage` from just before the call.

    Attributes:
        starts_delay: This is the first ask that is known to reach the guest: the graceful delay is counted from here.
    """

    kind: StepKind
    stage: Stage
    starts_delay: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Write down what was seen, and go on from `stage`.

    Attributes:
        brought_down: How the VM went down, or was restarted.
        falls_back: From now on the VM is brought down and run again, instead of restarted inside.
    """

    kind: StepKind
    stage: Stage
    brought_down: Outcome | None = None
    falls_back: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing before `until`, unless something is heard of the VM first."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Finish:
    """End the operation."""

    outcome: Outcome
    failure: Failure = Failure.NONE


Move = Call | Note | Wait | Finish


def decide(op: Operation, seen: Observation, now: datetime) -> Move:
    """Return the next move of an active operation.

    Args:
        op: The operation, with its journal.
        seen: The VM, looked at just now.
        now: The time of that look.
    """
    if op.stage not in STAGES_IN_FLIGHT:
        raise ValueError("an operation that queues or has ended has no next move")
    move = _next(op, seen, now)
    if now < op.hard_deadline_at:
        if isinstance(move, Wait):
            return Wait(min(move.until, op.hard_deadline_at))
    elif not isinstance(move, Finish):
        # What has come true by now counts, however late somebody looks.
        move = _leave_running(op, seen, Finish(Outcome.FAILED, Failure.DEADLINE))
    return _once_settled(op, move, now)


def _once_settled(op: Operation, move: Move, now: datetime) -> Move:
    """Wait with what leaves a run behind while an earlier call may still be under way, which would be meant for it.

    A mark that comes late would arm the new run, a request that comes late would take it down.
    """
    if isinstance(move, Call) and move.kind not in (StepKind.START, StepKind.RELENT):
        return move
    if not isinstance(move, Call | Finish):
        return move
    stray = _STRAY if op.run_token else (*_STRAY, StepKind.DESTROY)
    sent = [step.at for step in op.steps if step.answered_at is None and step.kind in stray]
    settled_at = max(sent, default=now) + SETTLE
    return Wait(settled_at) if sent and now < settled_at else move


def _next(op: Operation, seen: Observation, now: datetime) -> Move:
    """Return the next move as if there were no hard deadline."""
    if op.from_queue and not op.cancel_requested and outdated(op.action, seen, now):
        return Finish(Outcome.FAILED, Failure.CHANGED_IN_QUEUE)
    match op.stage:
        case Stage.STARTING:
            return _starting(op, seen, now)
        case Stage.COMING_UP:
            return _coming_up(op, seen, now)
        case Stage.SAVING:
            return _saving(op, seen, now)
        case Stage.RESUMING:
            return _resuming(op, seen, now)
    match op.action:
        case Action.SHUT_DOWN | Action.REBOOT | Action.POWER_OFF | Action.POWER_CYCLE:
            return _bring_down(op, seen, now)
        case Action.SUSPEND:
            return _saving(op, seen, now)
        case Action.RUN | Action.RUN_ONCE | Action.RESUME:
            return _run(op, seen, now)


def decide_unreachable(op: Operation, now: datetime, *, busy: bool = False) -> Move:
    """Return the next move while the VM's host cannot be reached: wait for it until the hard deadline.

    Args:
        busy: It answers, but others are being served just now.
    """
    if now >= op.hard_deadline_at:
        return Finish(Outcome.FAILED, Failure.HOST_UNREACHABLE)
    return Wait(min(now + (LOOK_AGAIN_BUSY if busy else LOOK_AGAIN), op.hard_deadline_at))


def decide_gone() -> Move:
    """Return the next move when the VM is no longer defined on its host."""
    return Finish(Outcome.FAILED, Failure.GONE)


def decide_heard_start(op: Operation, at: datetime) -> Note | None:
    """Return what is to be written down when the hypervisor tells that the VM was started at `at`; None for nothing.

    A start whose answer was lost is known by this to have worked, also when its VM is down again by the next look.
    Not a start with options of its own: another hand's does not serve instead, and only a look tells them apart.
    """
    sent = op.last(StepKind.START)
    if op.stage is not Stage.STARTING or op.options.overrides or sent is None or at < sent.at:
        return None
    return Note(StepKind.STARTED, Stage.COMING_UP)


def _bring_down(op: Operation, seen: Observation, now: datetime) -> Move:
    """The shared first half of shut down, reboot, power off and power cycle."""
    if op.cancel_requested and op.graceful and op.stage is not Stage.DESTROYING:
        return _leave_running(op, seen, Finish(Outcome.CANCELLED))
    if seen.down:
        return _is_down(op, seen, now)
    if op.run_token is None and op.last(StepKind.DESTROY) is None:
        if op.graceful:
            return _retried(op, StepKind.PREPARE, op.stage, now, Failure.PREPARE_FAILED, seen)
        if op.last(StepKind.PREPARE) is None or 0 < op.unanswered_in_a_row(StepKind.PREPARE) < MAX_UNANSWERED_MARKS:
            return Call(StepKind.PREPARE, op.stage)
        # A hung QEMU takes no token, and is just what Power off is for.
        return _destroy(op, seen, now)
    hands_off = _hands_off(op, seen, now)
    if hands_off is not None:
        return hands_off
    if op.stage is Stage.DESTROYING or not op.graceful:
        return _destroy(op, seen, now)
    return _restart_inside(op, seen, now) if op.inside else _ask_down(op, seen, now)


def _hands_off(op: Operation, seen: Observation, now: datetime) -> Move | None:
    """Return what to do instead with a running VM that is not to be brought down now; None for one that may be."""
    if _another_run(op, seen):
        # It went down and somebody has started it again. A new run is never touched.
        if op.runs_again:
            return Finish(Outcome.OTHER_HAND)
        return Finish(Outcome.FAILED, Failure.STARTED_ELSEWHERE)
    if op.runs_again and not seen.persistent:
        # Somebody undefined it: it would be gone with its run, and could not be started again.
        return _leave_running(op, seen, Finish(Outcome.FAILED, Failure.GONE))
    if seen.job is Job.MIGRATING:
        # Neither half of a VM that is moving is to be touched.
        return Wait(now + LOOK_AGAIN)
    return None


def _ask_down(op: Operation, seen: Observation, now: datetime) -> Move:
    marks = [step for step in op.since(StepKind.FALL_BACK) if step.kind is StepKind.PREPARE]
    if op.last(StepKind.FALL_BACK) is not None and not any(step.ok for step in marks):
        # The mark of a restart inside the guest lets it restart; now it is to go down.
        return _retried(op, StepKind.PREPARE, op.stage, now, Failure.PREPARE_FAILED, seen, among=marks)
    return _ladder(op, seen, now)


def _restart_inside(op: Operation, seen: Observation, now: datetime) -> Move:
    """Ask the agent to restart the guest, and wait for that; otherwise fall back to bringing the VM down."""
    if _restarted(op, seen):
        return Note(StepKind.STARTED, Stage.COMING_UP, brought_down=Outcome.GUEST_REBOOTED)
    to_be_asked = seen.agent_connected and _worth_asking(op, StepKind.ASK_RESTART)
    begins_anew = to_be_asked and _was_never_heard(op)
    if op.deadline_at is not None and now >= op.deadline_at and not begins_anew:
        return _at_deadline(op, seen, now)
    if not _may_be_restarting(op) and not to_be_asked:
        return Note(StepKind.FALL_BACK, op.stage, falls_back=True)
    if to_be_asked:
        return Call(StepKind.ASK_RESTART, Stage.WAITING, starts_delay=begins_anew or op.asked_at is None)
    if not seen.agent_connected and op.last(StepKind.AGENT_LEFT) is None:
        return Note(StepKind.AGENT_LEFT, op.stage)
    return Wait(min(now + LOOK_AGAIN, op.deadline_at) if op.deadline_at is not None else now + LOOK_AGAIN)


def _restarted(op: Operation, seen: Observation) -> bool:
    """True when the guest restarted since it was asked.

    The hypervisor tells of a restart once, perhaps while nobody listens. An agent that was told to restart its guest,
    left and came back tells the same.
    """
    return op.last(StepKind.GUEST_RESET) is not None or (
        op.last(StepKind.AGENT_LEFT) is not None and seen.agent_connected
    )


def _may_be_restarting(op: Operation) -> bool:
    """True when the agent took the request, or its answer is lost."""
    asks = op.all(StepKind.ASK_RESTART)
    return any(step.ok for step in asks) or (bool(asks) and asks[-1].answered_at is None)


def _at_deadline(op: Operation, seen: Observation, now: datetime) -> Move:
    """The graceful delay is over: power off, or give up."""
    if op.policy is not None and op.policy.force:
        return _destroy(op, seen, now)
    return _leave_running(op, seen, Finish(Outcome.GAVE_UP))


def _another_run(op: Operation, seen: Observation) -> bool:
    """True when what runs now is not the run that is to be brought down."""
    if op.run_token is not None:
        return seen.run_token != op.run_token
    # Without a token only a destroy that is known to have worked tells. A token that shows up late is our own mark.
    return any(step.ok for step in op.all(StepKind.DESTROY))


def _ladder(op: Operation, seen: Observation, now: datetime) -> Move:
    """Ask the agent, then press the button, then power off or give up: all within one graceful delay."""
    if op.policy is None:
        raise ValueError(f"{op.action} without a policy")
    if op.policy.force and op.policy.delay == 0:
        return _destroy(op, seen, now)
    press_at = _next_press(op, now) if seen.acpi else None
    ask = _due_ask(op, seen, press_at, now)
    begins_anew = ask is not None and _was_never_heard(op)
    if op.deadline_at is not None and now >= op.deadline_at and not begins_anew:
        return _at_deadline(op, seen, now)
    if ask is not None:
        return Call(ask, Stage.WAITING, starts_delay=begins_anew or op.asked_at is None)
    if press_at is None and not _may_have_heard(op, seen):
        # Nobody there to ask: no agent that listens, and no power button.
        if op.policy.force:
            return _destroy(op, seen, now)
        return _leave_running(op, seen, Finish(Outcome.FAILED, Failure.NO_WAY_TO_ASK))
    moments = [moment for moment in (press_at, op.deadline_at) if moment is not None]
    return Wait(min(moments))


def _due_ask(op: Operation, seen: Observation, press_at: datetime | None, now: datetime) -> StepKind | None:
    """Return how the guest is to be asked now; None when it is not."""
    if seen.agent_connected and _worth_asking(op, StepKind.ASK_AGENT):
        return StepKind.ASK_AGENT
    return StepKind.PRESS_BUTTON if press_at is not None and now >= press_at else None


def _was_never_heard(op: Operation) -> bool:
    """True when no request is known to have reached the guest, because the answer to the last one was lost.

    Whoever repeats it starts the delay anew: all workers may have been dead since just before the request was sent.
    Not when a person has ended the delay, and not for ever.
    """
    asks = op.all(*ASKS)
    if not asks or any(step.ok for step in asks) or op.last(StepKind.FORCE_NOW) is not None:
        return False
    lost = sum(step.answered_at is None for step in asks)
    return asks[-1].answered_at is None and lost < MAX_UNANSWERED_ASKS


def _may_have_heard(op: Operation, seen: Observation) -> bool:
    """True when the agent took a request, or an answer is lost and the guest may be going down by it."""
    asks = op.all(StepKind.ASK_AGENT)
    if any(step.ok for step in asks):
        return True
    refused = any(step.answered_at is not None for step in asks)
    return any(step.answered_at is None for step in asks) and not (refused and seen.agent_connected)


def _agent_took_it(op: Operation) -> Step | None:
    """Return the request that the agent took, or may have taken: the answer is lost and the agent has left since."""
    asks = op.all(StepKind.ASK_AGENT)
    if any(step.answered_at is not None for step in asks):
        return next((step for step in asks if step.ok), None)
    return asks[-1] if 0 < len(asks) < MAX_UNANSWERED_ASKS else None


def _worth_asking(op: Operation, kind: StepKind) -> bool:
    """True when this call was not answered yet, neither with success nor with failure."""
    if any(step.answered_at is not None for step in op.all(kind)):
        return False
    return op.unanswered_in_a_row(kind) < MAX_UNANSWERED_ASKS


def _next_press(op: Operation, now: datetime) -> datetime:
    """Return when the power button is to be pressed next."""
    last = op.last(StepKind.PRESS_BUTTON)
    if last is not None:
        lost = last.answered_at is None and op.unanswered_in_a_row(StepKind.PRESS_BUTTON) < MAX_UNANSWERED_ASKS
        return now if lost else last.at + timedelta(seconds=PRESS_AGAIN_EVERY)
    taken = _agent_took_it(op)
    if taken is None or op.asked_at is None or op.policy is None:
        return now
    # Half of what was left of the delay: all of it but for a request that had to be repeated.
    end = op.asked_at + timedelta(seconds=op.policy.delay)
    return taken.at + max(end - taken.at, timedelta()) / 2


def _destroy(op: Operation, seen: Observation, now: datetime) -> Move:
    """Power off, and take a picture of the screen before: once, and whatever comes of it."""
    if op.last(StepKind.SCREENSHOT, StepKind.DESTROY) is None:
        return Call(StepKind.SCREENSHOT, Stage.DESTROYING)
    return _retried(op, StepKind.DESTROY, Stage.DESTROYING, now, Failure.DESTROY_FAILED, seen)


def _is_down(op: Operation, seen: Observation, now: datetime) -> Move:
    """The VM is down: the end of a shut-down, half of a reboot."""
    if op.action is Action.POWER_OFF and seen.managed_save:
        return _retried(op, StepKind.DISCARD_MEMORY, op.stage, now, Failure.DISCARD_FAILED)
    if seen.managed_save:
        # Somebody suspended it meanwhile: its guest has not shut down, and a start would bring the old memory back.
        return Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)
    how = _how_it_went_down(op, seen)
    return Note(StepKind.WENT_DOWN, Stage.STARTING, brought_down=how) if op.runs_again else Finish(how)


def _how_it_went_down(op: Operation, seen: Observation) -> Outcome:
    destroys = op.all(StepKind.DESTROY)
    if op.last(StepKind.DISCARD_MEMORY) is not None:
        return Outcome.DONE
    # A destroy that is not known to have worked may have come too late: the guest had gone down by itself.
    if any(step.ok for step in destroys) or (destroys and seen.down_reason is not DownReason.GUEST):
        return Outcome.FORCED
    asked = op.last(*ASKS)
    if asked is None and op.overtaken is not None:
        return _how_it_was_down(op.overtaken, seen)
    if asked is None or seen.down_reason in (DownReason.DESTROYED, DownReason.SAVED):
        return Outcome.OTHER_HAND
    if seen.down_reason is DownReason.CRASHED:
        # Down as was asked for, but the guest did not get that far by itself: it panicked, or its process died.
        return Outcome.DONE
    # With both asked, the last one asked is named: the hypervisor does not say which of them the guest heard.
    return Outcome.CLEAN_ACPI if asked.kind is StepKind.PRESS_BUTTON else Outcome.CLEAN_AGENT


def _how_it_was_down(overtaken: Operation, seen: Observation) -> Outcome:
    """How a VM went down which was down already when the operation was overtaken that had acted on it until then."""
    if any(step.ok for step in overtaken.all(StepKind.START)):
        return Outcome.OTHER_HAND
    if overtaken.brought_down is not None:
        return overtaken.brought_down
    if overtaken.action is Action.RUN:
        return Outcome.DONE
    return _how_it_went_down(overtaken, seen)


def _run(op: Operation, seen: Observation, now: datetime) -> Move:
    if seen.down and op.action is Action.RESUME and not seen.managed_save:
        # It has no memory any more that could run on.
        return _ended_meanwhile(seen)
    if seen.down:
        return _starting(op, seen, now)
    if op.action is Action.RUN_ONCE:
        return Finish(Outcome.FAILED, Failure.STARTED_ELSEWHERE)
    if seen.state in (DomainState.PAUSED, DomainState.SLEEPING):
        return _resuming(op, seen, now)
    return Finish(Outcome.OTHER_HAND)


def _starting(op: Operation, seen: Observation, now: datetime) -> Move:
    if not seen.down:
        if _is_old_run(op, seen):
            return Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)
        if op.options.overrides and not seen.run_once:
            # Somebody was quicker, and runs it as it is stored.
            return Finish(Outcome.FAILED, Failure.STARTED_ELSEWHERE)
        return Note(StepKind.STARTED, Stage.COMING_UP)
    if op.brought_down is not None and seen.managed_save:
        return Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)
    last = op.last(StepKind.START)
    if last is not None and last.ok:
        return Finish(Outcome.FAILED, Failure.WENT_DOWN_AGAIN)
    return _retried(op, StepKind.START, Stage.STARTING, now, Failure.START_FAILED)


def _is_old_run(op: Operation, seen: Observation) -> bool:
    """True when the run that was brought down is back: only a saved memory that somebody restored does that."""
    went_down = op.brought_down is not Outcome.GUEST_REBOOTED
    return went_down and op.run_token is not None and seen.run_token == op.run_token


def _ended_meanwhile(seen: Observation) -> Finish:
    """End an operation whose VM went down when it was to run."""
    return Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE if seen.managed_save else Failure.WENT_DOWN_AGAIN)


def _coming_up(op: Operation, seen: Observation, now: datetime) -> Move:
    if seen.down:
        return _ended_meanwhile(seen)
    if _is_old_run(op, seen):
        return Finish(Outcome.FAILED, Failure.SAVED_ELSEWHERE)
    if seen.crashed:
        return Finish(Outcome.FAILED, Failure.CRASHED)
    started = op.last(StepKind.STARTED)
    since = started.at if started is not None else now
    # A VM that somebody paused meanwhile has come back; it just does not run on by our doing.
    if seen.state is DomainState.PAUSED or is_up(seen, since, now):
        if op.brought_down is not None:
            return Finish(op.brought_down)
        return Finish(Outcome.DONE if op.last(StepKind.START) is not None else Outcome.OTHER_HAND)
    return Wait(now + LOOK_AGAIN)


def _saving(op: Operation, seen: Observation, now: datetime) -> Move:
    last = op.last(StepKind.SAVE)
    if seen.down:
        if not seen.managed_save:
            return Finish(Outcome.FAILED, Failure.WENT_DOWN_AGAIN)
        return Finish(Outcome.DONE if last is not None else Outcome.OTHER_HAND)
    if seen.job is Job.SAVING:
        return Wait(now + LOOK_AGAIN)
    if last is not None and last.answered_at is not None and not last.ok:
        return Finish(Outcome.FAILED, Failure.SAVE_FAILED)
    if last is not None and now < last.at + SETTLE:
        return Wait(last.at + SETTLE)
    if len(op.all(StepKind.SAVE)) >= MAX_UNANSWERED_ASKS:
        return Finish(Outcome.FAILED, Failure.SAVE_FAILED)
    return Call(StepKind.SAVE, Stage.SAVING)


def _resuming(op: Operation, seen: Observation, now: datetime) -> Move:
    if seen.down:
        return _ended_meanwhile(seen)
    if seen.state is DomainState.RUNNING:
        return Finish(Outcome.DONE if op.last(StepKind.RESUME) is not None else Outcome.OTHER_HAND)
    return _retried(op, StepKind.RESUME, Stage.RESUMING, now, Failure.RESUME_FAILED)


def _retried(
    op: Operation,
    kind: StepKind,
    stage: Stage,
    now: datetime,
    failure: Failure,
    seen: Observation | None = None,
    *,
    among: Sequence[Step] | None = None,
) -> Move:
    """Send a call that must have its effect, with growing gaps after each failure.

    Args:
        seen: Given when the VM runs on after the last failure, so that it has to be left as it was.
        among: The calls that count, where earlier ones were for something else.
    """
    calls = op.all(kind) if among is None else among
    if not calls:
        return Call(kind, stage)
    attempts = len(calls)
    not_before = _not_before(calls[-1], attempts)
    if now < not_before:
        return Wait(not_before)
    if attempts <= len(RETRY_GAPS):
        return Call(kind, stage)
    finish = Finish(Outcome.FAILED, failure)
    return finish if seen is None else _leave_running(op, seen, finish)


def _not_before(last: Step, attempts: int) -> datetime:
    """Return when a call may be sent again, or given up after the last attempt."""
    if last.answered_at is None and last.kind is StepKind.PREPARE:
        return last.at
    if last.answered_at is None or last.ok:
        return last.at + SETTLE
    return last.answered_at + (RETRY_GAPS[attempts - 1] if attempts <= len(RETRY_GAPS) else timedelta())


def _leave_running(op: Operation, seen: Observation, finish: Finish) -> Move:
    """End the operation without the VM having gone down: take back every intent first."""
    if seen.down or not _may_be_armed(op, seen):
        return finish
    relents = op.all(StepKind.RELENT)
    if any(step.ok for step in relents) or len(relents) >= MAX_UNANSWERED_ASKS:
        return finish
    return Call(StepKind.RELENT, op.stage)


def _may_be_armed(op: Operation, seen: Observation) -> bool:
    """True when a reset by the guest may end this run: by our doing, or by that of an operation this one superseded."""
    if op.run_token is None:
        # The answer to our mark may be lost.
        return seen.reset_ends_run and op.last(StepKind.PREPARE) is not None
    return seen.run_token == op.run_token and ((op.graceful and not op.inside) or seen.reset_ends_run)

"""The only writer of operations: every change is guarded by the stage and version it was decided on.

A call to the hypervisor is written down before it is made and answered afterwards. A row count of zero means that
somebody changed the operation meanwhile; the caller then reads it again and decides anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.db.models import Max, Prefetch
from django.utils import timezone

from vms.domain import operation as op
from vms.domain.decide import Call, Finish, Note, pace
from vms.domain.observation import Proof, status_while
from vms.domain.operation import Failure, Outcome, Stage, StepKind
from vms.domain.plan import Plan
from vms.domain.policy import Origin, Policy, Setting
from vms.domain.power import FORCEFUL_ACTIONS, RUNNING_ACTIONS, Action
from vms.domain.run_options import AS_STORED, RunOptions
from vms.engine import notice, outcomes
from vms.engine.screens import Picture
from vms.models import Bulk, Operation, OperationQuerySet, OperationScreen, OperationStep, VirtualMachine

#: How often to write again what somebody else wrote to meanwhile.
_ATTEMPTS = 5
#: The actor of what the portal does by itself.
PORTAL = "portal"
#: A new operation is swept up this soon when the message that should wake it is lost.
FIRST_WAKE = timedelta(seconds=5)
#: One that left the queue when its message was lost; whoever waited for it has waited long enough.
_NEXT_WAKE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one operation stands in a bulk.

    Attributes:
        position: From 1, in the order of the list.
        queued: It has to wait until others have ended.
    """

    bulk: Bulk
    position: int
    queued: bool


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked for, with what follows from it.

    Attributes:
        override: The policy that the request sets for this once.
        policy: The policy in force; None for an action that asks no guest.
        actor: Who asked for it; None when the portal itself did.
        plan: What will happen, as it was shown.
        options: How the VM is to be started.
        place: Where it stands among others that were asked for with it.
        disks: Sources of the disks that are to go together with the VM.
    """

    action: Action
    actor: User | AnonymousUser | None
    override: Setting
    policy: Policy | None
    plan: Plan
    reason: str
    correlation_id: str
    options: RunOptions = AS_STORED
    place: Place | None = None
    disks: tuple[str, ...] = ()


def active(vm_id: UUID) -> Operation | None:
    """Return the operation that is active on a VM, with its journal."""
    return _with_journal().active().filter(vm_id=vm_id).first()


def read(pk: UUID) -> Operation:
    """Return one operation, with its journal."""
    return _with_journal().get(pk=pk)


def _with_journal() -> OperationQuerySet:
    steps = Prefetch("steps", OperationStep.objects.order_by("number"), to_attr="journal")
    return Operation.objects.select_related("vm__host", "actor").prefetch_related(steps)  # type: ignore[no-redef]


def as_decided(row: Operation) -> op.Operation:
    """Return an operation with its journal as the decision sees it."""
    return op.Operation(
        action=Action(row.action),
        stage=Stage(row.stage),
        hard_deadline_at=row.hard_deadline_at,
        policy=row.policy,
        run_token=row.run_token or None,
        asked_at=row.asked_at,
        deadline_at=row.deadline_at,
        cancel_requested=row.cancel_requested,
        inside=row.inside,
        options=row.run_options,
        disks=tuple(row.disks),
        brought_down=Outcome(row.brought_down) if row.brought_down else None,
        from_queue=_from_queue(row),
        steps=tuple(
            op.Step(StepKind(step.kind), step.at, step.answered_at, step.ok, step.target) for step in row.journal
        ),
        overtaken=_overtaken(row),
    )


def _from_queue(row: Operation) -> bool:
    """Say whether the VM may have changed in the queue, and not by an operation that this one has overtaken."""
    if not row.was_queued or row.journal or row.stage != Stage.ACCEPTED:
        return False
    overtaken = Operation.objects.filter(superseded_by=row)
    return not overtaken.exclude(was_queued=True, left_queue_at__isnull=True).exists()


def _overtaken(row: Operation) -> op.Operation | None:
    """Return the operation that a power-off has ended, as long as it matters how that one brought the VM down."""
    if row.action not in FORCEFUL_ACTIONS or any(step.kind == StepKind.DESTROY for step in row.journal):
        return None
    overtaken = _with_journal().filter(superseded_by=row).first()
    return as_decided(overtaken) if overtaken is not None else None


def accept(vm: VirtualMachine, request: Request) -> Operation:
    """Write a new operation down, in the caller's transaction. One that queues leaves the VM's status as it is.

    Raises:
        IntegrityError: Another operation is active on the VM; the database keeps this rule.
    """
    now = timezone.now()
    policy, place = request.policy, request.place
    queued = place is not None and place.queued
    operation = Operation.objects.create(
        vm=vm,
        action=request.action,
        stage=Stage.QUEUED if queued else Stage.ACCEPTED,
        bulk=place.bulk if place else None,
        bulk_position=place.position if place else None,
        was_queued=queued,
        actor=request.actor if isinstance(request.actor, User) else None,
        actor_name=request.actor.get_username() if request.actor is not None else PORTAL,
        reason=request.reason,
        correlation_id=request.correlation_id,
        requested_force=request.override.force,
        requested_delay=request.override.delay,
        force=policy.force if policy else None,
        delay=policy.delay if policy else None,
        force_origin=policy.force_origin if policy else "",
        delay_origin=policy.delay_origin if policy else "",
        plan=request.plan.as_json(),
        inside=request.plan.restarts_inside,
        options=request.options.as_json(),
        disks=list(request.disks),
        created_at=now,
        hard_deadline_at=op.hard_deadline(request.action, policy, now),
        wake_at=None if queued else now + FIRST_WAKE,
    )
    if not queued:
        VirtualMachine.objects.filter(pk=vm.pk).update(
            status=status_while(request.action, restoring=vm.managed_save and request.action is Action.RUN)
        )
    outcomes.record_accepted(operation)
    return operation


def forget(row: Operation) -> None:
    """End the removal of a VM that is gone already, in the caller's transaction: no host has to be asked."""
    row.journal = []
    if not finish(row, Finish(Outcome.DONE), timezone.now()):
        raise LostRace(f"{row} changed meanwhile")


def leave_queue(row: Operation) -> bool:
    """Let a queued operation begin: from now on its hard deadline counts, and a worker is to look at its VM."""
    now = timezone.now()
    return _change(
        row,
        stage=Stage.ACCEPTED,
        left_queue_at=now,
        hard_deadline_at=op.hard_deadline(Action(row.action), row.policy, now),
        wake_at=now + _NEXT_WAKE,
    )


def drop(row: Operation, actor: User | AnonymousUser) -> bool:
    """End an operation that still queues, in the caller's transaction: nothing was asked of its VM."""
    now = timezone.now()
    if not row.queued or not _change(row, stage=Stage.ENDED, outcome=Outcome.CANCELLED, ended_at=now):
        return False
    _add_step(row, StepKind.CANCEL, now, answered_at=now, ok=True, actor_name=actor.get_username())
    outcomes.record_dropped(row, actor)
    return True


def settled_at(row: Operation, now: datetime) -> datetime | None:
    """Return until when a call of an earlier operation may still have its effect; None when none is in doubt.

    A start that was sent by a worker which then died may be under way at the host: a power-off that believed the VM
    to be down already would be undone by it.
    """
    called = any(step.kind in op.CALLS for step in row.journal)
    if called or row.created_at + pace.SETTLE <= now:
        return None
    unanswered = OperationStep.objects.filter(
        operation__vm_id=row.vm_id,
        kind__in=(StepKind.START, StepKind.DESTROY, StepKind.SAVE, StepKind.RESUME),
        answered_at__isnull=True,
        at__gt=now - pace.SETTLE,
    )
    sent_at = unanswered.aggregate(last=Max("at"))["last"]
    return sent_at + pace.SETTLE if sent_at is not None else None


def begin_call(row: Operation, call: Call, now: datetime) -> OperationStep | None:
    """Write down that a call is about to be made.

    Returns:
        The step, to be answered; None when the operation was changed meanwhile: the call must not be made.
    """
    changes: dict[str, Any] = {"stage": call.stage}
    if call.starts_delay:
        changes |= _delay_from(row, now)
    with transaction.atomic():
        if not _change(row, **changes):
            return None
        return _add_step(row, call.kind, now, target=call.target)


def owing(vm_id: UUID) -> Operation | None:
    """Return the last operation of a VM that nothing is active on, if it has not taken back what it did to its run.

    Its host may have been away when it ended.
    """
    last = _with_journal().filter(vm_id=vm_id).order_by("-created_at").first()
    if last is None or last.active or any(step.kind == StepKind.RELENT and step.ok for step in last.journal):
        return None
    return last


def _delay_from(row: Operation, now: datetime) -> dict[str, datetime]:
    """Return the times of a graceful delay that begins now: the first time, or anew with what was added to it since."""
    policy = row.policy
    if policy is None:
        raise ValueError(f"{row.action} asks no guest")
    if row.asked_at is None or row.deadline_at is None:
        deadline_at = now + timedelta(seconds=policy.delay)
        hard_deadline_at = op.hard_deadline(Action(row.action), policy, now)
    else:
        later = now - row.asked_at
        deadline_at, hard_deadline_at = row.deadline_at + later, row.hard_deadline_at + later
    return {"asked_at": now, "deadline_at": deadline_at, "hard_deadline_at": hard_deadline_at}


def answer(step: OperationStep, *, ok: bool, detail: str = "") -> None:
    """Write down what the hypervisor answered, also when the operation was superseded during the call."""
    step.answered_at, step.ok, step.detail = timezone.now(), ok, detail
    step.save(update_fields=["answered_at", "ok", "detail"])


def keep_screen(row: Operation, picture: Picture, taken_at: datetime) -> None:
    """Keep the guest's screen with the operation that is about to power it off."""
    OperationScreen.objects.create(
        operation=row,
        taken_at=taken_at,
        width=picture.width,
        height=picture.height,
        size=len(picture.png),
        png=picture.png,
    )


def set_run_token(row: Operation, token: str) -> None:
    """Write down which run the operation acts upon; once, and whatever else was changed on it meanwhile."""
    Operation.objects.filter(pk=row.pk, run_token="").update(run_token=token)
    row.run_token = token


def note(row: Operation, move: Note, now: datetime, detail: str = "") -> bool:
    """Write down what was seen, and go on from there."""
    changes: dict[str, Any] = {"stage": move.stage}
    if move.brought_down is not None:
        changes["brought_down"] = move.brought_down
    if move.kind is StepKind.WENT_DOWN:
        changes["went_down_at"] = now
    if move.kind is StepKind.STARTED and move.brought_down is not Outcome.GUEST_REBOOTED:
        changes["started_at"] = now
    if move.falls_back:
        changes["inside"] = False
    with transaction.atomic(savepoint=False):
        if not _change(row, **changes):
            return False
        _add_step(row, move.kind, now, answered_at=now, ok=True, detail=detail)
        if move.kind is StepKind.WENT_DOWN:
            outcomes.record_down(row)
        return True


def wait(row: Operation, until: datetime, now: datetime) -> bool:
    """Write down when to look again if nothing is heard before."""
    return _change(row, wake_at=until, looked_at=now)


def finish(row: Operation, move: Finish, now: datetime, detail: str = "", proof: Proof | None = None) -> bool:
    """End the operation, with its event. The VM's status is the caller's to set, in the same transaction.

    Args:
        detail: What the host said; by default what it said to the last call that failed.
        proof: What shows that the VM runs; kept where it was to run and does.
    """
    if move.failure is Failure.DISKS_LEFT:
        detail = _what_was_left(row)
    elif move.failure is not Failure.NONE and not detail:
        detail = next((step.detail for step in reversed(row.journal) if _tells_why(step)), "")
    changes: dict[str, Any] = {}
    if move.outcome in op.SUCCESSES:
        changes = _came_true(row, now, proof)
    with transaction.atomic(savepoint=False):
        if not _change(
            row,
            stage=Stage.ENDED,
            outcome=move.outcome,
            failure=move.failure,
            failure_detail=detail,
            ended_at=now,
            wake_at=None,
            **changes,
        ):
            return False
        outcomes.record_ended(row)
        notice.write(row)
        return True


def _what_was_left(row: Operation) -> str:
    """Name each disk that was not removed, with what the host said to the last attempt."""
    last = {step.target: step for step in row.journal if step.kind == StepKind.REMOVE_DISK}
    return " ".join(f"{disk}: {step.detail or '?'}." for disk, step in last.items() if not step.ok)


def _tells_why(step: OperationStep) -> bool:
    # A picture that could not be taken is nobody's reason to fail.
    return bool(step.detail) and not step.ok and step.kind != StepKind.SCREENSHOT


def _came_true(row: Operation, now: datetime, proof: Proof | None) -> dict[str, Any]:
    """Return what is written down of an operation whose VM was seen as it was to be."""
    if row.action == Action.REMOVE:
        return {}
    if Action(row.action) in RUNNING_ACTIONS:
        return {"returned_at": now, "proof": proof} if proof is not None else {}
    return {"went_down_at": now}


def obeyed_late(row: Operation, at: datetime) -> None:
    """Write down when the guest of an ended operation went down after all."""
    Operation.objects.filter(pk=row.pk).update(went_down_at=at)


def supersede(row: Operation, by: Action, actor: User | AnonymousUser | None) -> None:
    """End an operation that a newer request overtakes, in the caller's transaction. No actor: the portal itself.

    One that has already started its VM, and only waits for it to come up, ends with what it achieved.
    """
    achieved = Outcome(row.brought_down) if row.brought_down else Outcome.DONE
    outcome = achieved if row.stage == Stage.COMING_UP else Outcome.SUPERSEDED
    now = timezone.now()
    if not _change(row, stage=Stage.ENDED, outcome=outcome, ended_at=now, wake_at=None):
        raise LostRace(f"{row} changed meanwhile")
    outcomes.record_superseded(row, by, actor)
    notice.write(row)


def guest_reset(vm_id: UUID, at: datetime) -> None:
    """Write down that the guest restarted itself in the run that an operation acts on, if it waits for that."""
    for _ in range(_ATTEMPTS):
        row = active(vm_id)
        if row is None or not row.inside or row.stage != Stage.WAITING:
            return
        if any(step.kind == StepKind.GUEST_RESET for step in row.journal):
            return
        if note(row, Note(StepKind.GUEST_RESET, Stage.WAITING), at):
            return


def force_now(row: Operation, actor: User | AnonymousUser) -> bool:
    """End the graceful delay now, with force."""
    now = timezone.now()
    return _steered(row, StepKind.FORCE_NOW, actor, now, force=True, force_origin=Origin.REQUEST, deadline_at=now)


def extend(row: Operation, seconds: int, actor: User | AnonymousUser) -> bool:
    """Give the guest more time."""
    more = timedelta(seconds=seconds)
    changes: dict[str, Any] = {"hard_deadline_at": row.hard_deadline_at + more}
    if row.deadline_at is not None:
        changes["deadline_at"] = row.deadline_at + more
    else:
        # Its guest was not asked yet, so the delay is not running yet.
        changes["delay"] = (row.delay or 0) + seconds
    return _steered(row, StepKind.EXTEND, actor, timezone.now(), detail=f"+{seconds} s", **changes)


def cancel(row: Operation, actor: User | AnonymousUser) -> bool:
    """Stop waiting for the guest."""
    return _steered(row, StepKind.CANCEL, actor, timezone.now(), cancel_requested=True)


class LostRace(Exception):
    """Somebody changed the operation between reading and writing it; nothing was written."""


def _steered(
    row: Operation,
    kind: StepKind,
    actor: User | AnonymousUser,
    now: datetime,
    detail: str = "",
    **changes: Any,
) -> bool:
    with transaction.atomic():
        if row.stage not in op.PATIENT_STAGES or not _change(row, wake_at=now, **changes):
            return False
        _add_step(row, kind, now, answered_at=now, ok=True, detail=detail, actor_name=actor.get_username())
        outcomes.record_steered(row, kind, actor, detail)
        return True


def _change(row: Operation, **changes: Any) -> bool:
    """Change an operation if it still is as it was read; the transition table is kept here, too.

    Returns:
        False when it is not: nothing was changed, and what was read is not to be trusted any more.
    """
    stage = Stage(changes.get("stage", row.stage))
    if stage != row.stage and stage not in op.TRANSITIONS[Stage(row.stage)]:
        raise ValueError(f"no transition from {row.stage} to {stage}")
    changes["version"] = row.version + 1
    if not Operation.objects.filter(pk=row.pk, stage=row.stage, version=row.version).update(**changes):
        return False
    for name, value in changes.items():
        setattr(row, name, value)
    return True


def _add_step(row: Operation, kind: StepKind, at: datetime, **fields: Any) -> OperationStep:
    number = row.journal[-1].number + 1 if row.journal else 1
    step = OperationStep.objects.create(operation=row, number=number, kind=kind, at=at, **fields)
    row.journal.append(step)
    return step

"""Writes new operations down, and lets those begin that have queued."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from vms.domain import operation as op
from vms.domain.observation import status_while
from vms.domain.operation import Stage
from vms.domain.plan import Plan
from vms.domain.policy import Policy, Setting
from vms.domain.power import Action
from vms.domain.run_options import AS_STORED, RunOptions
from vms.engine import changes, outcomes
from vms.engine.journal.guarded import change
from vms.models import Bulk, Operation, VirtualMachine

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
    changes.tell_of_operation(operation)
    return operation


def leave_queue(row: Operation) -> bool:
    """Let a queued operation begin: from now on its hard deadline counts, and a worker is to look at its VM."""
    now = timezone.now()
    return change(
        row,
        stage=Stage.ACCEPTED,
        left_queue_at=now,
        hard_deadline_at=op.hard_deadline(Action(row.action), row.policy, now),
        wake_at=now + _NEXT_WAKE,
    )

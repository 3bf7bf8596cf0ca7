"""Asking for an action on several VMs at once: an answer for each of them, and a queue for those beyond the cap."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from vms import labels, permissions
from vms.actions import asking
from vms.actions.common import Actor, Refused
from vms.actions.steering import drop
from vms.domain.errors import PolicyError
from vms.domain.policy import Setting
from vms.domain.power import Action
from vms.engine import bulk as engine
from vms.engine import journal
from vms.models import Bulk, BulkRefusal, Operation, PortalDefaults, VirtualMachine


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an action on one VM: an operation, or a refusal and the operation in the way if there is one."""

    vm: VirtualMachine
    operation: Operation | None = None
    refusal: str = ""
    in_the_way: Operation | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of an action on several VMs.

    Attributes:
        bulk: What follows it on its way; None where a single VM was asked for, or nothing was accepted.
        answers: One a VM, in the order they were given.
    """

    bulk: Bulk | None
    answers: list[Answer]

    @property
    def accepted(self) -> list[Operation]:
        """The operations that came of it."""
        return [answer.operation for answer in self.answers if answer.operation is not None]

    @property
    def queued(self) -> list[Operation]:
        """Those of them that have to wait for others."""
        return [operation for operation in self.accepted if operation.queued]


def request_each(
    actor: Actor,
    vms: Sequence[VirtualMachine],
    action: Action,
    *,
    override: Setting | None = None,
    disks: Sequence[str] = (),
    reason: str = "",
    correlation_id: str = "",
) -> Asked:
    """Accept one action on each of several VMs, in a transaction of its own each.

    At most as many as the portal's cap says are in flight at a time; the rest queue in the order given. A single VM
    never queues. One that cannot be accepted holds up no other.

    Args:
        disks: Those that the removal of a single VM takes along.

    Raises:
        ValueError: Disks, and several VMs.
        PermissionDenied: The actor may not do this to one of the VMs; nothing was accepted.
    """
    for vm in vms:
        permissions.require(permissions.may(actor, action, vm))
    override, correlation_id = override or Setting(), correlation_id or str(uuid.uuid4())
    if len(vms) == 1:
        return Asked(None, [_ask(actor, vms[0], action, override, reason, correlation_id, None, disks)])
    if disks:
        raise ValueError("disks are removed together with one VM at a time")
    bulk = engine.begin(
        action,
        actor,
        asked_for=len(vms),
        cap=PortalDefaults.load().bulk_in_flight,
        reason=reason.strip(),
        correlation_id=correlation_id,
    )
    answers: list[Answer] = []
    begun = 0
    for position, vm in enumerate(vms, start=1):
        place = journal.Place(bulk, position, queued=begun >= bulk.cap)
        answers.append(_ask(actor, vm, action, override, reason, correlation_id, place))
        begun += answers[-1].operation is not None
    asked = Asked(bulk, answers)
    if not asked.accepted:
        # As with a single VM, a request that nothing came of leaves nothing behind.
        bulk.delete()
        return Asked(None, answers)
    _keep_refusals(bulk, answers)
    # Some may have ended while the others were accepted.
    engine.fill(bulk.pk)
    return asked


def cancel_queued(actor: Actor, bulk: Bulk) -> int:
    """Take the operations off the queue of a bulk that the actor may cancel; the last of the list goes first.

    Returns:
        How many were taken off. One that has begun meanwhile goes on.

    Raises:
        PermissionDenied: The actor may cancel none of them.
    """
    queued = list(bulk.operations.queued().select_related("vm__host").order_by("-bulk_position"))
    mine = [operation for operation in queued if permissions.may_steer(actor, operation)]
    permissions.require(bool(mine) or not queued)
    return sum(drop(actor, operation) for operation in mine)


def _ask(
    actor: Actor,
    vm: VirtualMachine,
    action: Action,
    override: Setting,
    reason: str,
    correlation_id: str,
    place: journal.Place | None,
    disks: Sequence[str] = (),
) -> Answer:
    try:
        operation = asking.request(
            actor, vm, action, override=override, disks=disks, reason=reason, correlation_id=correlation_id, place=place
        )
    except Refused as refused:
        return Answer(vm, refusal=str(refused), in_the_way=refused.operation)
    except PolicyError as error:  # somebody has edited the VM since it was judged a moment ago
        return Answer(vm, refusal=str(labels.POLICY_ERROR[error.code]))
    return Answer(vm, operation)


def _keep_refusals(bulk: Bulk, answers: Sequence[Answer]) -> None:
    BulkRefusal.objects.bulk_create(
        BulkRefusal(bulk=bulk, vm=answer.vm, position=position, reason=answer.refusal, in_the_way=answer.in_the_way)
        for position, answer in enumerate(answers, start=1)
        if answer.operation is None
    )

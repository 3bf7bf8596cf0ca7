"""What happened to a VM without an operation of the portal: as events, attributed to the guest or to other hands."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from uuid import UUID

from vms.domain.observation import DomainState, DownReason, Observation
from vms.domain.operation import Outcome
from vms.engine import journal
from vms.engine.records import Code, record
from vms.engine.sync.rows import locked
from vms.models import Event, Operation, VirtualMachine

#: The clean ways a guest that was asked can still go down after nobody waited for it any more.
_STOPPED_WAITING = (Outcome.GAVE_UP, Outcome.CANCELLED)

#: Reports of a guest's restart that come closer together than this tell of the same one.
_ONE_RESET = timedelta(seconds=3)

_DOWN_WORDS: dict[DownReason, str] = {
    DownReason.GUEST: "the guest shut itself down",
    DownReason.DESTROYED: "it was powered off outside the portal",
    DownReason.CRASHED: "its process died",
    DownReason.SAVED: "it was suspended outside the portal",
    DownReason.UNKNOWN: "the host does not say why",
}


def tell_of_other_hands(vm: VirtualMachine, seen: Observation, at: datetime) -> None:
    """Record a start or an end that no operation of the portal accounts for."""
    if vm.observed_at is None:
        return
    was_down = vm.domain_state == DomainState.DOWN
    if seen.down and not was_down:
        if not _obeyed_late(vm, seen, at):
            _record_down(vm, seen.down_reason)
    elif was_down and not seen.down:
        record(Code.VM_STARTED_ELSEWHERE, f"{vm.name} was started outside the portal.", vm=vm)


def _record_down(vm: VirtualMachine, reason: DownReason) -> None:
    message = f"{vm.name} went down: {_DOWN_WORDS[reason]}."
    if reason is DownReason.CRASHED:
        record(Code.VM_DOWN_WITH_ERROR, message, severity=Event.Severity.ERROR, vm=vm)
    else:
        record(Code.VM_DOWN, message, vm=vm)


def _obeyed_late(vm: VirtualMachine, seen: Observation, at: datetime) -> bool:
    """Record that a guest went down after the portal had stopped waiting for it; which delay would have been enough."""
    if seen.down_reason in (DownReason.DESTROYED, DownReason.CRASHED, DownReason.SAVED):
        return False
    last = Operation.objects.filter(vm=vm).order_by("-created_at").first()
    if last is None or last.outcome not in _STOPPED_WAITING or not last.run_token or last.run_token != vm.run_token:
        return False
    if last.asked_at is None or last.ended_at is None:
        return False
    waited = (last.ended_at - last.asked_at).total_seconds()
    needed = (at - last.asked_at).total_seconds()
    journal.obeyed_late(last, at)
    record(
        Code.OBEYED_LATE,
        f"{vm.name} went down {max(1, round(needed - waited))} s after the portal had stopped waiting for it, and "
        f"stays down. A graceful delay of {math.ceil(needed)} s would have been enough.",
        severity=Event.Severity.WARNING,
        vm=vm,
        operation=last,
    )
    return True


def guest_reset(vm_id: UUID, at: datetime) -> None:
    """Record that a guest restarted itself. The hypervisor may tell of one restart several times; one event is made."""
    with locked(vm_id) as vm:
        told = Event.objects.filter(vm=vm, code=Code.GUEST_RESET, at__gte=at - _ONE_RESET)
        if not told.exists():
            record(Code.GUEST_RESET, f"The guest of {vm.name} restarted itself.", vm=vm)

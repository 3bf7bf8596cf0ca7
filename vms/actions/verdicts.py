"""Whether an action would be accepted now, and in words why not."""

from __future__ import annotations

from collections.abc import Sequence

from vms import labels
from vms.domain.observation import DomainState
from vms.domain.operation import Stage, in_flight
from vms.domain.power import Action, Refusal, Verdict, VmStatus, resolve
from vms.models import Operation, VirtualMachine


def refusal_text(action: Action, vm: VirtualMachine, verdict: Verdict, active: Operation | None) -> str:
    """Say in words why an action is refused."""
    if verdict.refusal is Refusal.IN_FLIGHT and active is not None:
        return _in_flight_text(action, vm, active)
    if verdict.refusal is Refusal.STATELESS:
        return f"Cannot suspend {vm.name}: its disks are stateless, so that its memory cannot be saved."
    status = labels.STATUS[VmStatus(vm.status)]
    return f"Cannot {str(labels.ACTION[action]).lower()} {vm.name} because it is {status}."


def reason_text(vm: VirtualMachine, tags: Sequence[str]) -> str:
    """Say in words that a reason has to be given, because of these tags."""
    named = ", ".join(f"“{tag}”" for tag in tags)
    return f"{vm.name} was left alone: its tag {named} wants a reason for every action. Say why, and ask again."


def _in_flight_text(action: Action, vm: VirtualMachine, active: Operation) -> str:
    running = str(labels.ACTION[Action(active.action)]).lower()
    return (
        f"Cannot {str(labels.ACTION[action]).lower()} {vm.name}: a {running} asked for by {active.actor_name} is "
        f"{'queued for' if active.queued else 'running on'} it."
    )


def verdict_for(action: Action, vm: VirtualMachine, active: Operation | None) -> Verdict:
    """Say whether an action would be accepted on a VM that `active` is running on."""
    running = in_flight(Action(active.action), Stage(active.stage)) if active is not None else None
    asleep = vm.domain_state == DomainState.SLEEPING
    return resolve(action, VmStatus(vm.status), running, asleep=asleep, stateless=vm.run_stateless)

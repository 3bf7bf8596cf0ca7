"""Whether an action would be accepted now, and in words why not."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

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
        sentence = _("Cannot suspend %(vm)s: its disks are stateless, so that its memory cannot be saved.")
        return sentence % {"vm": vm.name}
    if verdict.refusal is Refusal.PROTECTED:
        return _("Cannot remove %(vm)s: its delete protection is on.") % {"vm": vm.name}
    return _("Cannot %(action)s %(vm)s because it is %(status)s.") % {
        "action": labels.ACTION_WITHIN[action],
        "vm": vm.name,
        "status": vm.get_status_display(),
    }


def reason_text(vm: VirtualMachine, tags: Sequence[str]) -> str:
    """Say in words that a reason has to be given, because of these tags."""
    sentence = ngettext(
        "%(vm)s was left alone: its tag %(tags)s wants a reason for every action. Say why, and ask again.",
        "%(vm)s was left alone: its tags %(tags)s want a reason for every action. Say why, and ask again.",
        len(tags),
    )
    return sentence % {"vm": vm.name, "tags": ", ".join(f"“{tag}”" for tag in tags)}


def _in_flight_text(action: Action, vm: VirtualMachine, active: Operation) -> str:
    if active.queued:
        sentence = _("Cannot %(action)s %(vm)s: a %(running)s asked for by %(actor)s is queued for it.")
    else:
        sentence = _("Cannot %(action)s %(vm)s: a %(running)s asked for by %(actor)s is running on it.")
    return sentence % {
        "action": labels.ACTION_WITHIN[action],
        "vm": vm.name,
        "running": labels.ACTION_WITHIN[Action(active.action)],
        "actor": active.actor_name,
    }


def verdict_for(action: Action, vm: VirtualMachine, active: Operation | None) -> Verdict:
    """Say whether an action would be accepted on a VM that `active` is running on."""
    running = in_flight(Action(active.action), Stage(active.stage)) if active is not None else None
    asleep = vm.domain_state == DomainState.SLEEPING
    return resolve(
        action,
        VmStatus(vm.status),
        running,
        asleep=asleep,
        stateless=vm.run_stateless,
        protected=vm.delete_protected,
    )

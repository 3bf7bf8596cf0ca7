"""Opening a VM's console: a person who may use it is given a ticket, with which their page's WebSocket comes back."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from vms import labels, permissions, tickets
from vms.actions.common import Refused
from vms.domain.power import VmStatus
from vms.domain.screen import no_screen
from vms.models import VirtualMachine
from vms.tickets import Ticket


def console_refusal(vm: VirtualMachine) -> str:
    """Return why a VM has no screen now, in a sentence; empty when it has one."""
    why = no_screen(VmStatus(vm.status), vm.seen.state)
    return str(labels.NO_SCREEN[why]) if why is not None else ""


def console_ticket(actor: User, vm: VirtualMachine, session: str, *, correlation_id: str) -> str:
    """Return the secret of a ticket for a VM's console.

    Args:
        session: The key of the session that asks; no other may use the ticket.

    Raises:
        PermissionDenied: The person may not use this console.
        Refused: There is no screen now, or nowhere to keep a ticket.
    """
    permissions.require(permissions.may_use_console(actor, vm))
    if refusal := console_refusal(vm):
        raise Refused(refusal)
    try:
        return tickets.give(Ticket(str(vm.pk), actor.pk, tickets.fingerprint(session), correlation_id))
    except RedisError:
        raise Refused(_("The portal's broker (Redis) does not answer, and without it no console can open.")) from None

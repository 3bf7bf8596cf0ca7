"""Having a host asked what only it knows of a VM, because somebody looks at the VM's page."""

from __future__ import annotations

from django.utils import timezone

from vms import permissions
from vms.actions.common import Actor
from vms.domain.power import VmStatus
from vms.engine import glimpses
from vms.models import Glimpse, VirtualMachine

Kind = Glimpse.Kind


def look(actor: Actor, vm: VirtualMachine, kind: Glimpse.Kind) -> Glimpse | None:
    """Return what the host told last, without the picture, and have it asked again where that is some seconds old.

    Returns:
        None where it has not been asked yet, and where it cannot tell: of the screen or guest of a VM that is down.

    Raises:
        PermissionDenied: The actor may not see that: a screen shows what the console shows.
    """
    screen = kind == Kind.SCREEN
    permissions.require(permissions.may_use_console(actor, vm) if screen else permissions.may_view(actor, vm))
    if not _can_tell(vm, kind):
        return None
    known = Glimpse.objects.filter(vm=vm, kind=kind).defer("png").first()
    if known is None or known.asked_at <= timezone.now() - glimpses.EVERY[kind]:
        glimpses.ask(vm, kind)
    return known


def _can_tell(vm: VirtualMachine, kind: Glimpse.Kind) -> bool:
    match kind:
        case Kind.SCREEN:
            return vm.running_since is not None
        case Kind.GUEST:
            return vm.running_since is not None and vm.agent_connected
        case Kind.DEFINITION:
            return vm.status != VmStatus.GONE

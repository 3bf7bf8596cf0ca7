"""What a VM needed before, held against the delay that it is to be given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from vms import permissions, queries
from vms.domain.learned import Doubt, Lessons, doubt
from vms.models import PortalDefaults, VirtualMachine
from vms.web.access import Request, needs
from vms.web.forms import DelayField


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of one VM, and what that says against a delay.

    Attributes:
        delay: The delay in seconds; None where none can be read.
    """

    vm: VirtualMachine
    lessons: Lessons
    delay: int | None

    @property
    def doubt(self) -> Doubt | None:
        """What speaks against the delay."""
        return None if self.delay is None else doubt(self.delay, self.lessons.shutdowns)


def learned_of(delays: Iterable[tuple[VirtualMachine, int | None]]) -> list[Learned]:
    """Return what is known of several VMs, each with its delay, in as many queries as for one."""
    wanted = list(delays)
    known = queries.learned(vm for vm, _ in wanted)
    return [Learned(vm, known[vm.pk], delay) for vm, delay in wanted]


def typed_delay(typed: object, default: int | None) -> int | None:
    """Return the delay that a typed one comes to, in seconds: the default for an empty box, None for nonsense."""
    try:
        delay = DelayField(required=False).clean(typed)
    except ValidationError:
        return None
    return default if delay is None else delay


@require_safe
@needs(permissions.CHANGE)
def vm_learned(request: Request, vm_id: UUID) -> HttpResponse:
    """What is known of a VM, for the delay that is being typed into its dialog."""
    vm = get_object_or_404(queries.shown_vms(request.user), pk=vm_id)
    permissions.require(permissions.may_change(request.user, vm))
    typed = "" if "delay_default" in request.GET else request.GET.get("graceful_delay")
    delay = typed_delay(typed, PortalDefaults.load().setting.delay)
    [learned] = learned_of([(vm, delay)])
    return render(request, "vms/fragments/vm_learned.html", {"vm": vm, "learned": learned})

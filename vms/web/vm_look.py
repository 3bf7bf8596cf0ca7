"""What only the host knows of a VM, as its page shows it: the screen, the guest, the definition, what it uses."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from vms import actions, permissions, vm_queries
from vms.models import Glimpse, Sample
from vms.queries import VmRow
from vms.web import usage
from vms.web.access import Request, needs
from vms.web.vm_frame import page_context, row_of

Kind = Glimpse.Kind


def overview(request: Request, row: VmRow) -> dict[str, Any]:
    """Return what the first tab shows of it."""
    return _screen(request, row) | _guest(request, row) | _usage(request, row)


@require_safe
@needs(permissions.CONSOLE)
def vm_screen(request: Request, vm_id: UUID) -> HttpResponse:
    """The guest's screen, small."""
    row = row_of(request, vm_id)
    _require_console(request, row)
    return render(request, "vms/fragments/vm_screen.html", _screen(request, row))


@require_safe
@needs(permissions.CONSOLE)
def vm_screen_picture(request: Request, vm_id: UUID) -> HttpResponse:
    """The picture of it that was taken last."""
    row = row_of(request, vm_id)
    _require_console(request, row)
    try:
        screen = vm_queries.screen(row.vm)
    except Glimpse.DoesNotExist:
        raise Http404 from None
    response = HttpResponse(bytes(screen.png), content_type="image/png")
    # What a host sent is taken for nothing but a picture.
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_safe
@needs(permissions.VIEW)
def vm_guest(request: Request, vm_id: UUID) -> HttpResponse:
    """What the guest agent tells."""
    return render(request, "vms/fragments/vm_guest.html", _guest(request, row_of(request, vm_id)))


@require_safe
@needs(permissions.VIEW)
def vm_usage(request: Request, vm_id: UUID) -> HttpResponse:
    """What the VM uses, in words."""
    return render(request, "vms/fragments/vm_usage.html", _usage(request, row_of(request, vm_id)))


@require_safe
@needs(permissions.VIEW)
def vm_samples(request: Request, vm_id: UUID) -> HttpResponse:
    """What charts are drawn of (JSON)."""
    row, chosen = row_of(request, vm_id), usage.chosen_range(request.GET.get("range"))
    now = timezone.now()
    drawn = usage.as_json(_samples(row, chosen), chosen.resolution)
    return JsonResponse(drawn | {"from": (now - chosen.length).timestamp(), "to": now.timestamp()})


@require_safe
@needs(permissions.VIEW)
def vm_definition(request: Request, vm_id: UUID) -> HttpResponse:
    """The stored definition, as a tab."""
    row = row_of(request, vm_id)
    return render(request, "vms/vm_definition.html", page_context(request, row, "definition") | _text(request, row))


@require_safe
@needs(permissions.VIEW)
def vm_definition_text(request: Request, vm_id: UUID) -> HttpResponse:
    """The same alone."""
    return render(request, "vms/fragments/vm_definition_text.html", _text(request, row_of(request, vm_id)))


def _require_console(request: Request, row: VmRow) -> None:
    if not permissions.may_use_console(request.user, row.vm):
        raise Http404


def _screen(request: Request, row: VmRow) -> dict[str, Any]:
    allowed = permissions.may_use_console(request.user, row.vm)
    screen = actions.look(request.user, row.vm, Kind.SCREEN) if allowed else None
    return {"row": row, "screen_allowed": allowed, "screen": screen}


def _guest(request: Request, row: VmRow) -> dict[str, Any]:
    return {"row": row, "guest": actions.look(request.user, row.vm, Kind.GUEST)}


def _text(request: Request, row: VmRow) -> dict[str, Any]:
    return {"row": row, "definition": actions.look(request.user, row.vm, Kind.DEFINITION)}


def _usage(request: Request, row: VmRow) -> dict[str, Any]:
    chosen = usage.chosen_range(request.GET.get("range"))
    return {
        "row": row,
        "ranges": usage.RANGES,
        "range": chosen,
        "figures": usage.in_words(_samples(row, chosen)),
    }


def _samples(row: VmRow, chosen: usage.Range) -> list[Sample]:
    return vm_queries.samples(row.vm, timezone.now() - chosen.length, chosen.resolution)

"""A VM's console: its page, what changes on that page, and the ticket that its WebSocket is opened with."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from vms import actions, permissions, queries, tickets
from vms.models import VirtualMachine
from vms.queries import VmRow
from vms.web import controls
from vms.web.access import Request, needs
from vms.web.correlation import correlation_id


@require_safe
@needs(permissions.VIEW)
def vm_console(request: Request, vm_id: UUID) -> HttpResponse:
    """The screen, and what can be done beside it."""
    return render(request, "vms/vm_console.html", _context(request, vm_id))


@require_safe
@needs(permissions.VIEW)
def vm_console_bar(request: Request, vm_id: UUID) -> HttpResponse:
    """The VM's status and its power controls, which change while the page is open."""
    return render(request, "vms/fragments/vm_console_bar.html", _context(request, vm_id))


@require_POST
@needs(permissions.VIEW)
def vm_console_ticket(request: Request, vm_id: UUID) -> HttpResponse:
    """Give a ticket for one WebSocket as `ticket`, or 409 and in `detail` why there is nothing to see now."""
    vm = _row(request, vm_id).vm
    session = request.session.session_key or ""
    try:
        ticket = actions.console_ticket(request.user, vm, session, correlation_id=correlation_id())
    except actions.Refused as refused:
        return JsonResponse({"detail": str(refused)}, status=HTTPStatus.CONFLICT)
    return JsonResponse({"ticket": ticket})


def _context(request: Request, vm_id: UUID) -> dict[str, Any]:
    row = _row(request, vm_id)
    permissions.require(permissions.may_use_console(request.user, row.vm))
    return {
        "vm": row.vm,
        "refusal": actions.console_refusal(row.vm),
        "groups": controls.beside_screen(request.user, row),
        "socket": tickets.SOCKET_PATH,
    }


def _row(request: Request, vm_id: UUID) -> VmRow:
    try:
        return queries.vm_row(request.user, vm_id)
    except VirtualMachine.DoesNotExist:
        raise Http404 from None

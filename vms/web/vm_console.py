"""The console of a VM: a tab of its page, what changes there, and the ticket that its WebSocket is opened with."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from vms import actions, permissions, tickets
from vms.correlation import correlation_id
from vms.web.access import Request, needs
from vms.web.vm_frame import page_context, row_of


@require_safe
@needs(permissions.CONSOLE)
def vm_console(request: Request, vm_id: UUID) -> HttpResponse:
    """The screen."""
    row = row_of(request, vm_id)
    context = {"refusal": actions.console_refusal(row.vm), "socket": tickets.SOCKET_PATH}
    return render(request, "vms/vm_console.html", page_context(request, row, "console") | context)


@require_safe
@needs(permissions.VIEW)
def vm_console_refusal(request: Request, vm_id: UUID) -> HttpResponse:
    """Why there is no screen now, if so."""
    row = row_of(request, vm_id)
    context = {"row": row, "refusal": actions.console_refusal(row.vm)}
    return render(request, "vms/fragments/vm_console_refusal.html", context)


@require_POST
@needs(permissions.CONSOLE)
def vm_console_ticket(request: Request, vm_id: UUID) -> HttpResponse:
    """Give a ticket for one WebSocket as `ticket`, or 409 and in `detail` why there is nothing to see now."""
    vm = row_of(request, vm_id).vm
    session = request.session.session_key or ""
    try:
        ticket = actions.console_ticket(request.user, vm, session, correlation_id=correlation_id())
    except actions.Refused as refused:
        return JsonResponse({"detail": str(refused)}, status=HTTPStatus.CONFLICT)
    return JsonResponse({"ticket": ticket})

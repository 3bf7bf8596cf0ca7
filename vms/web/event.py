"""Events: what happened, in words, newest first."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from vms import permissions, queries
from vms.models import Event, VirtualMachine
from vms.web.access import Request, needs
from vms.web.params import uuid_param


@require_safe
@needs(permissions.VIEW_EVENTS)
def event_list(request: Request) -> HttpResponse:
    """All events, newest first."""
    return render(request, "events/event_list.html", _table(request) | {"severities": Event.Severity.choices})


@require_safe
@needs(permissions.VIEW_EVENTS)
def event_table(request: Request) -> HttpResponse:
    """Their table alone."""
    return render(request, "events/fragments/event_table.html", _table(request))


def _table(request: Request) -> dict[str, Any]:
    condition = Q()
    severity = request.GET.get("severity", "")
    correlation_id = request.GET.get("correlation_id", "").strip()
    vm_id = uuid_param(request, "vm")
    if severity in Event.Severity.values:
        condition &= Q(severity=severity)
    if correlation_id:
        condition &= Q(correlation_id=correlation_id)
    if vm_id:
        condition &= Q(vm_id=vm_id)
    return {
        "page_obj": queries.event_page(condition, request.GET.get("page")),
        "severity": severity,
        "correlation_id": correlation_id,
        "vm": VirtualMachine.objects.filter(pk=vm_id).first() if vm_id else None,
        "narrowed": bool(condition),
    }

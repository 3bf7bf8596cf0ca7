"""The page of one VM: its tabs, and the parts of them that are kept fresh."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from vms import permissions, queries, vm_queries
from vms.domain.configuration import Configuration, Part
from vms.domain.policy import effective
from vms.models import PortalDefaults
from vms.queries import VmRow
from vms.web import vm_look
from vms.web.access import Request, needs
from vms.web.learned import learned_of
from vms.web.vm_frame import page_context, row_of


@require_safe
@needs(permissions.VIEW)
def vm_detail(request: Request, vm_id: UUID) -> HttpResponse:
    """The first tab: what the VM is and does."""
    row = row_of(request, vm_id)
    context = page_context(request, row, "overview") | _facts(row) | vm_look.overview(request, row)
    return render(request, "vms/vm_detail.html", context)


@require_safe
@needs(permissions.VIEW)
def vm_header(request: Request, vm_id: UUID) -> HttpResponse:
    """Its name and what it does now, alone."""
    return render(request, "vms/fragments/vm_header.html", {"row": row_of(request, vm_id)})


@require_safe
@needs(permissions.VIEW)
def vm_facts(request: Request, vm_id: UUID) -> HttpResponse:
    """What is known of it, alone."""
    return render(request, "vms/fragments/vm_facts.html", _facts(row_of(request, vm_id)))


@require_safe
@needs(permissions.VIEW_OPERATIONS)
def vm_operations(request: Request, vm_id: UUID) -> HttpResponse:
    """What was done to it, with each timeline."""
    row = row_of(request, vm_id)
    return render(
        request, "vms/vm_operations.html", page_context(request, row, "operations") | _operations(request, row)
    )


@require_safe
@needs(permissions.VIEW_OPERATIONS)
def vm_operation_list(request: Request, vm_id: UUID) -> HttpResponse:
    """That list alone."""
    row = row_of(request, vm_id)
    return render(request, "vms/fragments/vm_operation_list.html", _operations(request, row))


@require_safe
@needs(permissions.VIEW_EVENTS)
def vm_events(request: Request, vm_id: UUID) -> HttpResponse:
    """What happened to it."""
    row = row_of(request, vm_id)
    return render(request, "vms/vm_events.html", page_context(request, row, "events") | _events(request, row))


@require_safe
@needs(permissions.VIEW_EVENTS)
def vm_event_table(request: Request, vm_id: UUID) -> HttpResponse:
    """That table alone."""
    return render(request, "events/fragments/event_table.html", _events(request, row_of(request, vm_id)))


def _facts(row: VmRow) -> dict[str, Any]:
    vm = row.vm
    policy = effective(vm.policy_setting, PortalDefaults.load().setting)
    [learned] = learned_of([(vm, policy.delay)])
    return {"row": row, "policy": policy, "learned": learned, "configuration": _configuration(row)}


def _configuration(row: VmRow) -> list[dict[str, Any]]:
    """Return each part of the configuration, now and next; those that neither has are left out."""
    upcoming = row.upcoming
    now = upcoming if row.vm.running_configuration is None else Configuration.of(row.vm.running_configuration)
    waiting = {change.part for change in row.changes}
    rows = (
        {"part": part, "now": getattr(now, part), "next": getattr(upcoming, part), "differs": part in waiting}
        for part in Part
        if part is not Part.DESCRIPTION
    )
    return [each for each in rows if each["now"] or each["next"]]


def _operations(request: Request, row: VmRow) -> dict[str, Any]:
    return {"row": row, "page_obj": vm_queries.operation_page(request.user, row.vm, request.GET.get("page"))}


def _events(request: Request, row: VmRow) -> dict[str, Any]:
    if not permissions.may_view_events(request.user, row.vm):
        raise Http404
    return {
        "page_obj": queries.event_page(request.user, Q(vm=row.vm), request.GET.get("page")),
        "live_url": reverse("vm_event_table", args=[row.vm.pk]),
    }

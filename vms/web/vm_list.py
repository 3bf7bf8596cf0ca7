"""The list of VMs, its toolbar and its context menu."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from vms import labels, permissions, queries
from vms.queries import VmRow
from vms.web import controls
from vms.web.access import Request, needs
from vms.web.filters import FilterError, VmFilter
from vms.web.selection import MOST_MATCHING, match_count, selected_ids, too_many_text

#: Columns of the table that sort it: key, title, whether they hold numbers.
COLUMNS = (
    ("name", gettext_lazy("Name"), False),
    ("status", gettext_lazy("Status"), False),
    ("host", gettext_lazy("Host"), False),
    ("", gettext_lazy("Agent"), False),
    ("cpu", gettext_lazy("CPU"), True),
    ("memory", gettext_lazy("Memory"), True),
    ("up", gettext_lazy("Up"), True),
    ("pending", gettext_lazy("Pending"), False),
)


@require_safe
@needs(permissions.VIEW)
def vm_list(request: Request) -> HttpResponse:
    """The first page after login."""
    context = _board(request) | _toolbar(request) | {"status_choices": labels.status_choices()}
    context["search"] = context["filter"]
    return render(request, "vms/vm_list.html", context)


@require_safe
@needs(permissions.VIEW)
def vm_board(request: Request) -> HttpResponse:
    """The table and the strip of running operations."""
    return render(request, "vms/fragments/vm_board.html", _board(request))


@require_safe
@needs(permissions.VIEW)
def vm_toolbar(request: Request) -> HttpResponse:
    """The toolbar for the VMs that are selected."""
    return render(request, "vms/fragments/vm_toolbar.html", _toolbar(request))


@require_safe
@needs(permissions.VIEW)
def vm_menu(request: Request, vm_id: UUID) -> HttpResponse:
    """The context menu of one VM."""
    rows = queries.vm_rows(request.user, [vm_id])
    if not rows:
        raise Http404
    context = {"vm": rows[0].vm, "groups": controls.menu(request.user, rows[0])}
    return render(request, "vms/fragments/vm_menu.html", context)


def _board(request: Request) -> dict[str, Any]:
    wanted = VmFilter.of(request.GET)
    sort = request.GET.get("sort", "name")
    context: dict[str, Any] = {"filter": wanted, "sort": sort, "columns": COLUMNS}
    try:
        board = queries.vm_board(request.user, wanted.condition(), sort, request.GET.get("page"))
    except FilterError as error:
        return context | {"filter_error": str(error)}
    context["board"] = board
    if not board.rows and not wanted.narrows:
        context["any_host"] = queries.any_host()
    return context


def _toolbar(request: Request) -> dict[str, Any]:
    match = request.GET.get("match")
    if match is not None:
        return _toolbar_of_match(request, match)
    ids = selected_ids(request.GET)
    rows = queries.vm_rows(request.user, ids) if ids else []
    if "alone" in request.GET and len(rows) == 1:
        return toolbar_alone(request, rows[0])
    return _controls(request, rows) | {"selected_count": len(rows)}


def _toolbar_of_match(request: Request, match: str) -> dict[str, Any]:
    """Offer what is asked of all that match; which of them can is said when it is confirmed."""
    count = match_count(request.user, match)
    why_not = "" if count else _("No virtual machine matches any more.")
    if count > MOST_MATCHING:
        why_not = too_many_text()
    return _controls(request, [], controls.Unseen(count, why_not)) | {"selected_count": count, "matching": True}


def _controls(request: Request, rows: list[queries.VmRow], unseen: controls.Unseen | None = None) -> dict[str, Any]:
    return {
        "toolbar": controls.toolbar(request.user, rows, unseen),
        "toolbar_run": controls.toolbar_run(request.user, rows, unseen),
        "toolbar_more": controls.toolbar_more(request.user, rows, unseen),
    }


def toolbar_alone(request: Request, row: VmRow) -> dict[str, Any]:
    """Return what the toolbar on the page of one VM needs."""
    return {
        "alone": True,
        "selected": [row.vm],
        "toolbar": controls.toolbar(request.user, [row]),
        "toolbar_run": controls.toolbar_run(request.user, [row]),
        "toolbar_more": controls.page_more(request.user, row),
    }

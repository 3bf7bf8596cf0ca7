"""What waits for a VM's next cold start: a list of it, and taking it back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from vms import actions, labels, permissions, queries
from vms.correlation import correlation_id
from vms.domain.configuration import Part
from vms.domain.power import Action
from vms.queries import VmRow
from vms.web import answers, controls
from vms.web.access import Request, needs
from vms.web.vm_frame import page_context, row_of


@require_safe
@needs(permissions.VIEW)
def vm_pending(request: Request, vm_id: UUID) -> HttpResponse:
    """The changes that wait, now and next: a dialog, or a tab of the VM's page."""
    return show(request, row_of(request, vm_id))


@require_safe
@needs(permissions.VIEW)
def vm_pending_changes(request: Request, vm_id: UUID) -> HttpResponse:
    """What changes in that dialog while it is open."""
    context = _context(request, row_of(request, vm_id)) | {"on_page": "on_page" in request.GET}
    return render(request, "vms/fragments/vm_pending_changes.html", context)


@require_POST
@needs(permissions.CHANGE)
def vm_revert(request: Request, vm_id: UUID) -> HttpResponse:
    """Take one change back (`part`), or all that were shown (`all`, and each of them as `shown`)."""
    vm = row_of(request, vm_id).vm
    try:
        parts = {Part(name) for name in request.POST.getlist("shown" if "all" in request.POST else "part")}
    except ValueError:
        raise BadRequest("no such part of a configuration") from None
    if not parts:
        raise BadRequest("no part of the configuration was named")
    try:
        actions.revert(request.user, vm, parts, correlation_id=correlation_id())
    except actions.Refused as refused:
        return answers.refused(request, _("Nothing was taken back"), refused)
    names = ", ".join(str(labels.PART[part]) for part in Part if part in parts)
    said = _("%(vm)s: %(parts)s will stay as it runs now.") % {"vm": vm.name, "parts": names}
    if not request.htmx:
        messages.success(request, said)
        return redirect("vm_pending", vm_id)
    row = row_of(request, vm_id)
    response = show(request, row) if row.changes else answers.close_dialog(HttpResponse())
    return answers.refresh(answers.toast(response, said))


def show(request: Request, row: VmRow, *, saved: str = "") -> HttpResponse:
    """Show what waits.

    Args:
        saved: What has just been saved, in a sentence; for the dialog.
    """
    context = _context(request, row)
    if request.htmx:
        return render(request, "vms/fragments/vm_pending.html", context | {"saved": saved})
    return render(request, "vms/vm_pending.html", context | page_context(request, row, "pending") | {"on_page": True})


def _context(request: Request, row: VmRow) -> dict[str, Any]:
    return {
        "row": row,
        "vm": row.vm,
        "failed": queries.failed_changes(row.vm),
        "may_revert": permissions.may_change(request.user, row.vm),
        "reboot": controls.one(request.user, row, Action.REBOOT),
        "form_action": reverse("vm_revert", args=[row.vm.pk]),
    }

"""Running a VM once with other than its stored configuration. GET shows, POST does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from vms import actions, labels, permissions, queries
from vms.actions import Preview
from vms.correlation import correlation_id
from vms.domain.errors import ConfigurationError
from vms.domain.power import Action
from vms.domain.run_options import AS_STORED
from vms.queries import VmRow
from vms.web import answers, controls
from vms.web.access import Request, needs
from vms.web.run_once_form import RunOnceForm
from vms.web.selection import selected_rows


@require_http_methods(["GET", "HEAD", "POST"])
@needs(permissions.VIEW)
def vm_run_once(request: Request) -> HttpResponse:
    """Ask how one run is to differ (GET), or have the VM run so (POST)."""
    row = _row(request)
    form = _form(row, request.POST if request.method == "POST" else None, row.vm.reason_tags)
    if form.is_valid():
        try:
            actions.run_once(
                request.user,
                row.vm,
                form.run_options,
                reason=form.cleaned_data["reason"],
                correlation_id=correlation_id(),
            )
        except ConfigurationError as error:  # somebody has edited the VM since the form was judged a moment ago
            form.add_configuration_error(error)
        except actions.Refused as refused:
            return answers.refused(request, _("Run once was refused"), refused)
        else:
            return _accepted(request, row)
    template = "vms/fragments/vm_run_once.html" if request.htmx else "vms/vm_run_once.html"
    context = _context(row, form, [_preview(row, form)])
    return render(request, template, context, status=422 if form.errors else 200)


@require_safe
@needs(permissions.VIEW)
def vm_run_once_plan(request: Request) -> HttpResponse:
    """The plan alone, for the options that are being chosen in the dialog."""
    row = _row(request)
    form = _form(row, request.GET)
    previews = [_preview(row, form)] if form.is_valid() else []
    return render(request, "vms/fragments/vm_action_plan.html", _context(row, form, previews) | {"swapped": True})


def _row(request: Request) -> VmRow:
    rows = selected_rows(request.user, request.POST if request.method == "POST" else request.GET)
    if len(rows) > 1:
        raise BadRequest("run once is for one virtual machine at a time")
    permissions.require(permissions.may(request.user, Action.RUN_ONCE, rows[0].vm))
    return rows[0]


def _form(row: VmRow, data: Any, reason_tags: Sequence[str] = ()) -> RunOnceForm:
    return RunOnceForm(data, configured=row.upcoming, always_stateless=row.vm.stateless, reason_tags=reason_tags)


def _preview(row: VmRow, form: RunOnceForm) -> Preview:
    """Say what would happen; as it is configured, where the form is empty or wrong."""
    options = form.run_options if form.is_bound and not form.errors else AS_STORED
    return actions.preview(row.vm, Action.RUN_ONCE, options=options)


def _context(row: VmRow, form: RunOnceForm, previews: list[Preview]) -> dict[str, Any]:
    return {
        "form_action": reverse("vm_action", args=[Action.RUN_ONCE]),
        "no_enter": True,
        "vm": row.vm,
        "action": Action.RUN_ONCE,
        "verb": labels.ACTION[Action.RUN_ONCE],
        "icon": controls.ICONS[Action.RUN_ONCE],
        "form": form,
        "previews": previews,
        "eligible": [preview for preview in previews if preview.refusal is None],
        "single": previews[0] if previews else None,
        "dangerous": False,
    }


def _accepted(request: Request, row: VmRow) -> HttpResponse:
    message = _("%(action)s of %(vm)s was accepted.") % {
        "action": labels.ACTION[Action.RUN_ONCE],
        "vm": row.vm.name,
    }
    if not request.htmx:
        messages.success(request, message)
        return redirect("vm_list")
    response = render(
        request, "vms/fragments/vm_rows_changed.html", {"rows": queries.vm_rows(request.user, [row.vm.pk])}
    )
    return answers.refresh(answers.close_dialog(answers.toast(response, message)))

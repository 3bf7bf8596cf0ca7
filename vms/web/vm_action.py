"""The confirmation of a power action, for one VM or several, and its doing. GET shows, POST does."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe
from structlog.contextvars import bind_contextvars, get_contextvars

from vms import actions, labels, permissions, queries
from vms.actions import Preview
from vms.domain.errors import PolicyError
from vms.domain.policy import PlanKind, Setting
from vms.domain.power import FORCEFUL_ACTIONS, Action
from vms.models import Operation, VirtualMachine
from vms.queries import VmRow
from vms.web import answers, controls
from vms.web.access import Request, needs
from vms.web.forms import ActionForm
from vms.web.selection import selected_rows

_LONGEST_CORRELATION_ID = 36


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an action on one VM: an operation, or a refusal and the operation in the way if there is one."""

    vm: VirtualMachine
    operation: Operation | None = None
    refusal: str = ""
    in_the_way: Operation | None = None


@require_http_methods(["GET", "HEAD", "POST"])
@needs(permissions.VIEW)
def vm_action(request: Request, action: Action) -> HttpResponse:
    """Say what an action would do (GET), or have it done (POST)."""
    rows = selected_rows(request.POST if request.method == "POST" else request.GET)
    _require(request, action, rows)
    form, previews = _judge(request, action, rows)
    if request.method != "POST" or not form.is_valid():
        return _show(request, action, form, previews, status=422 if form.is_bound else 200)
    results = _submit(request, action, rows, form)
    if all(result.operation for result in results):
        return _accepted(request, action, results)
    return _not_all(request, action, results)


@require_safe
@needs(permissions.VIEW)
def vm_action_plan(request: Request, action: Action) -> HttpResponse:
    """The plan alone, for the options that are being chosen in the dialog."""
    rows = selected_rows(request.GET)
    _require(request, action, rows)
    form = ActionForm(request.GET, action=action, type_count=False)
    form.is_valid()
    previews: list[Preview] = []
    if not form.errors:
        previews = _previews(form, action, rows, form.override)
    context = _plan(action, form, previews) | {"swapped": True}
    return render(request, "vms/fragments/vm_action_plan.html", context)


def _require(request: Request, action: Action, rows: Sequence[VmRow]) -> None:
    for row in rows:
        permissions.require(permissions.may(request.user, action, row.vm))


def _judge(request: Request, action: Action, rows: Sequence[VmRow]) -> tuple[ActionForm, list[Preview]]:
    """Return the form, and what would happen by it; by the policy alone where the form is wrong."""
    by_policy = actions.previews([row.vm for row in rows], action)
    eligible = sum(preview.refusal is None for preview in by_policy)
    form = ActionForm(
        request.POST if request.method == "POST" else None,
        action=action,
        eligible=eligible,
        type_count=action in FORCEFUL_ACTIONS and eligible > 1,
    )
    if not form.is_bound or not form.is_valid():
        return form, by_policy
    return form, _previews(form, action, rows, form.override) or by_policy


def _previews(form: ActionForm, action: Action, rows: Sequence[VmRow], override: Setting) -> list[Preview]:
    """Say what would happen; nothing, and an error in the form, where the override cannot be carried out."""
    try:
        return actions.previews([row.vm for row in rows], action, override)
    except PolicyError as error:
        form.add_policy_error(error)
        return []


def _show(
    request: Request, action: Action, form: ActionForm, previews: list[Preview], status: int = 200
) -> HttpResponse:
    context = _plan(action, form, previews)
    template = "vms/fragments/vm_action.html" if request.htmx else "vms/vm_action.html"
    return render(request, template, context, status=status)


def _plan(action: Action, form: ActionForm, previews: list[Preview]) -> dict[str, Any]:
    eligible = [preview for preview in previews if preview.refusal is None]
    at_once = any(
        preview.plan and preview.plan.steps[0].kind in (PlanKind.POWER_OFF, PlanKind.DISCARD_MEMORY)
        for preview in eligible
    )
    return {
        "form_action": reverse("vm_action", args=[action]),
        "no_enter": True,
        "action": action,
        "verb": labels.ACTION[action],
        "icon": controls.ICONS[action],
        "form": form,
        "previews": previews,
        "eligible": eligible,
        "refused": [preview for preview in previews if preview.refusal is not None],
        "single": previews[0] if len(previews) == 1 else None,
        "dangerous": action in FORCEFUL_ACTIONS or at_once or (form.is_valid() and form.override.force is True),
    }


def _submit(request: Request, action: Action, rows: Sequence[VmRow], form: ActionForm) -> list[Result]:
    correlation_id = str(get_contextvars().get("request_id", ""))
    if not 0 < len(correlation_id) <= _LONGEST_CORRELATION_ID:
        correlation_id = str(uuid.uuid4())
    bind_contextvars(correlation_id=correlation_id)
    one_of_many = len(rows) > 1
    return [_submit_one(request, action, row.vm, form, correlation_id, one_of_many=one_of_many) for row in rows]


def _submit_one(
    request: Request, action: Action, vm: VirtualMachine, form: ActionForm, correlation_id: str, *, one_of_many: bool
) -> Result:
    try:
        operation = actions.request(
            request.user,
            vm,
            action,
            override=form.override,
            reason=form.cleaned_data["reason"],
            correlation_id=correlation_id,
            one_of_many=one_of_many,
        )
    except actions.Refused as refused:
        return Result(vm, refusal=str(refused), in_the_way=refused.operation)
    except PolicyError as error:  # somebody has edited the VM since it was judged a moment ago
        return Result(vm, refusal=str(labels.POLICY_ERROR[error.code]))
    return Result(vm, operation)


def _accepted(request: Request, action: Action, results: list[Result]) -> HttpResponse:
    message = _in_words(action, results)
    if not request.htmx:
        messages.success(request, message)
        return redirect("vm_list")
    rows = queries.vm_rows(result.vm.pk for result in results)
    response = render(request, "vms/fragments/vm_rows_changed.html", {"rows": rows})
    return answers.refresh(answers.close_dialog(answers.toast(response, message)))


def _not_all(request: Request, action: Action, results: list[Result]) -> HttpResponse:
    """Tell what became of each; 409 when nothing came of any."""
    accepted = [result for result in results if result.operation]
    context = {
        "action": action,
        "verb": labels.ACTION[action],
        "results": results,
        "accepted": accepted,
        "rows": queries.vm_rows(result.vm.pk for result in accepted) if accepted and request.htmx else [],
    }
    template = "vms/fragments/vm_action_result.html" if request.htmx else "vms/vm_action_result.html"
    return answers.refresh(render(request, template, context, status=200 if accepted else 409))


def _in_words(action: Action, results: list[Result]) -> str:
    if len(results) == 1:
        return _("%(action)s of %(vm)s was accepted.") % {"action": labels.ACTION[action], "vm": results[0].vm.name}
    return ngettext(
        "%(action)s of %(count)s virtual machine was accepted.",
        "%(action)s of %(count)s virtual machines was accepted.",
        len(results),
    ) % {"action": labels.ACTION[action], "count": len(results)}

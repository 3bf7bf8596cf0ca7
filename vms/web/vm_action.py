"""The confirmation of a power action, for one VM or several, and its doing. GET shows, POST does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from vms import actions, labels, permissions, queries
from vms.actions import Answer, Asked, Preview
from vms.correlation import correlation_id
from vms.domain.disks import Disk
from vms.domain.errors import PolicyError
from vms.domain.plan import PlanKind
from vms.domain.power import LOSING_ACTIONS, Action, VmStatus
from vms.models import PortalDefaults
from vms.queries import VmRow
from vms.web import answers, controls
from vms.web.access import Request, needs
from vms.web.forms import ActionForm
from vms.web.learned import learned_of
from vms.web.selection import Selection, TooMany, selection

#: A dialog names so many VMs one by one; of the rest it says how many there are.
SHOWN = 200
#: A request for thousands of VMs is accepted one VM after the other.
PATIENCE_MS = 300_000


@require_http_methods(["GET", "HEAD", "POST"])
@needs(permissions.VIEW)
def vm_action(request: Request, action: Action) -> HttpResponse:
    """Say what an action would do (GET), or have it done (POST). Run once has a page of its own at its address."""
    try:
        chosen = _chosen(request, action)
    except TooMany as refusal:
        return answers.refused(request, str(labels.ACTION[action]), actions.Refused(str(refusal)))
    form, previews = _judge(request, action, chosen.rows)
    if request.method != "POST" or not form.is_valid():
        return _show(request, action, form, previews, chosen, status=422 if form.is_bound else 200)
    asked = _submit(request, action, chosen, form)
    if len(asked.accepted) == len(asked.answers):
        return _accepted(request, action, asked, chosen)
    return _not_all(request, action, asked, chosen)


@require_safe
@needs(permissions.VIEW)
def vm_action_plan(request: Request, action: Action) -> HttpResponse:
    """The plan alone, for the options that are being chosen in the dialog."""
    try:
        chosen = _chosen(request, action)
    except TooMany as refusal:
        return answers.refused(request, str(labels.ACTION[action]), actions.Refused(str(refusal)))
    form = ActionForm(request.GET, action=action, disks=_disks(action, chosen.rows), type_count=False)
    form.is_valid()
    previews: list[Preview] = []
    if not form.errors:
        previews = _previews(form, action, chosen.rows)
    context = _plan(action, form, previews, chosen) | {"swapped": True}
    return render(request, "vms/fragments/vm_action_plan.html", context)


def _chosen(request: Request, action: Action) -> Selection:
    accepting = request.method == "POST"
    chosen = selection(request.user, request.POST if accepting else request.GET, accepting=accepting)
    return chosen.where(lambda vm: permissions.may(request.user, action, vm))


def _judge(request: Request, action: Action, rows: Sequence[VmRow]) -> tuple[ActionForm, list[Preview]]:
    """Return the form, and what would happen by it; by the policy alone where the form is wrong."""
    by_policy = actions.previews([row.vm for row in rows], action)
    eligible = sum(preview.refusal is None for preview in by_policy)
    form = ActionForm(
        request.POST if request.method == "POST" else None,
        action=action,
        disks=_disks(action, rows),
        eligible=eligible,
        type_count=action in LOSING_ACTIONS and eligible > 1,
        reason_tags=list(dict.fromkeys(tag for row in rows for tag in row.vm.reason_tags)),
    )
    if not form.is_bound or not form.is_valid():
        return form, by_policy
    return form, _previews(form, action, rows) or by_policy


def _disks(action: Action, rows: Sequence[VmRow]) -> Sequence[Disk]:
    """Return the disks that a person may choose from: of one VM only, so that nothing is ticked in passing."""
    single = action is Action.REMOVE and len(rows) == 1 and rows[0].vm.status != VmStatus.GONE
    return rows[0].vm.disk_list if single else ()


def _previews(form: ActionForm, action: Action, rows: Sequence[VmRow]) -> list[Preview]:
    """Say what would happen; nothing, and an error in the form, where the override cannot be carried out."""
    try:
        return actions.previews([row.vm for row in rows], action, form.override, disks=form.chosen_disks)
    except PolicyError as error:
        form.add_policy_error(error)
        return []


def _show(
    request: Request, action: Action, form: ActionForm, previews: list[Preview], chosen: Selection, status: int = 200
) -> HttpResponse:
    context = _plan(action, form, previews, chosen)
    template = "vms/fragments/vm_action.html" if request.htmx else "vms/vm_action.html"
    return render(request, template, context, status=status)


def _plan(action: Action, form: ActionForm, previews: list[Preview], chosen: Selection) -> dict[str, Any]:
    previews = [*previews, *(Preview(left.vm, action, left.why, None, None) for left in chosen.left if previews)]
    eligible = [preview for preview in previews if preview.refusal is None]
    at_once = any(
        preview.plan and preview.plan.steps[0].kind in (PlanKind.POWER_OFF, PlanKind.DISCARD_MEMORY)
        for preview in eligible
    )
    cap = PortalDefaults.load().bulk_in_flight
    return {
        "form_action": reverse("vm_action", args=[action]),
        "no_enter": True,
        "action": action,
        "verb": labels.ACTION[action],
        "icon": controls.ICONS[action],
        "form": form,
        "chosen": chosen,
        "shown": SHOWN,
        "patience": PATIENCE_MS if chosen.match is not None else None,
        "previews": previews,
        "eligible": eligible,
        "refused": [preview for preview in previews if preview.refusal is not None],
        "single": previews[0] if len(previews) == 1 else None,
        "cap": cap,
        "to_queue": max(0, len(eligible) - cap),
        "learned": learned_of(
            (preview.vm, preview.plan.policy.delay) for preview in eligible if preview.plan and preview.plan.policy
        ),
        "dangerous": action in LOSING_ACTIONS or at_once or (form.is_valid() and form.override.force is True),
    }


def _submit(request: Request, action: Action, chosen: Selection, form: ActionForm) -> Asked:
    left = [Answer(left.vm, refusal=left.why) for left in chosen.left]
    if not chosen.rows:
        return Asked(None, left)
    asked = actions.request_each(
        request.user,
        [row.vm for row in chosen.rows],
        action,
        override=form.override,
        disks=form.chosen_disks,
        reason=form.cleaned_data["reason"],
        correlation_id=correlation_id(),
    )
    return Asked(asked.bulk, [*asked.answers, *left])


def _accepted(request: Request, action: Action, asked: Asked, chosen: Selection) -> HttpResponse:
    message = _in_words(action, asked)
    if not request.htmx:
        messages.success(request, message)
        return redirect(asked.bulk or "vm_list")
    rows = _changed_rows(request, asked, chosen)
    response = render(request, "vms/fragments/vm_rows_changed.html", {"rows": rows})
    return answers.refresh(answers.close_dialog(answers.toast(response, message)))


def _not_all(request: Request, action: Action, asked: Asked, chosen: Selection) -> HttpResponse:
    """Tell what became of each; 409 when nothing came of any."""
    told = asked.answers
    if len(told) > SHOWN:  # those that nothing came of come first: the others have a page of their own
        told = sorted(told, key=lambda answer: answer.operation is not None)
    context = {
        "action": action,
        "verb": labels.ACTION[action],
        "asked": asked,
        "answers": told[:SHOWN],
        "untold": len(told) - SHOWN,
        "rows": _changed_rows(request, asked, chosen) if request.htmx else [],
    }
    template = "vms/fragments/vm_action_result.html" if request.htmx else "vms/vm_action_result.html"
    return answers.refresh(render(request, template, context, status=200 if asked.accepted else 409))


def _changed_rows(request: Request, asked: Asked, chosen: Selection) -> list[VmRow]:
    """Return the rows that the answer puts in their places; none where most of them are on no page now."""
    ids = [operation.vm_id for operation in asked.accepted]
    wanted = bool(ids) and chosen.match is None and answers.wants_rows(request)
    return queries.vm_rows(request.user, ids) if wanted else []


def _in_words(action: Action, asked: Asked) -> str:
    if asked.bulk is None:
        return _("%(action)s of %(vm)s was accepted.") % {
            "action": labels.ACTION[action],
            "vm": asked.answers[0].vm.name,
        }
    accepted = ngettext(
        "%(action)s of %(count)s virtual machine was accepted.",
        "%(action)s of %(count)s virtual machines was accepted.",
        len(asked.accepted),
    ) % {"action": labels.ACTION[action], "count": len(asked.accepted)}
    queued = len(asked.queued)
    if not queued:
        return accepted
    queues = ngettext(
        "%(count)s of them queues: at most %(cap)s are worked on at a time.",
        "%(count)s of them queue: at most %(cap)s are worked on at a time.",
        queued,
    )
    return f"{accepted} {queues % {'count': queued, 'cap': asked.bulk.cap}}"

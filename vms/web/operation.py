"""Operations: the list of them, the page of one with its timeline, and what a person can do to a running one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from vms import actions, labels, permissions, queries
from vms.domain.operation import Outcome, Stage
from vms.models import Operation, OperationScreen
from vms.web import answers
from vms.web.access import Request, needs
from vms.web.params import uuid_param

#: What one press on Extend gives the guest, in seconds.
EXTENSION = 60
RUNNING = "running"
#: How long a browser may keep the picture of a screen, which never changes: seconds.
SCREEN_KEPT = 24 * 60 * 60


@require_safe
@needs(permissions.VIEW_OPERATIONS)
def operation_list(request: Request) -> HttpResponse:
    """All operations, newest first."""
    context = _table(request) | {"outcome_choices": [(RUNNING, _("Running")), *labels.outcome_choices()]}
    return render(request, "operations/operation_list.html", context)


@require_safe
@needs(permissions.VIEW_OPERATIONS)
def operation_table(request: Request) -> HttpResponse:
    """Their table alone."""
    return render(request, "operations/fragments/operation_table.html", _table(request))


@require_safe
@needs(permissions.VIEW_OPERATIONS)
def operation_detail(request: Request, operation_id: UUID) -> HttpResponse:
    """One operation with everything that is known of it."""
    return render(request, "operations/operation_detail.html", _detail(request.user, operation_id))


@require_safe
@needs(permissions.VIEW_OPERATIONS)
def operation_progress(request: Request, operation_id: UUID) -> HttpResponse:
    """What changes on that page while it runs."""
    return render(request, "operations/fragments/operation_progress.html", _detail(request.user, operation_id))


@require_safe
@needs(permissions.VIEW_OPERATIONS, kept=True)
def operation_screen(request: Request, operation_id: UUID) -> HttpResponse:
    """The guest's screen just before the operation powered it off, as a picture."""
    try:
        screen = queries.operation_screen(request.user, operation_id)
    except OperationScreen.DoesNotExist:
        raise Http404 from None
    response = HttpResponse(bytes(screen.png), content_type="image/png")
    response["Content-Disposition"] = f'inline; filename="screen-{operation_id}.png"'
    # What a host sent is taken for nothing but a picture.
    response["X-Content-Type-Options"] = "nosniff"
    patch_cache_control(response, private=True, max_age=SCREEN_KEPT, immutable=True)
    return response


@require_POST
@needs(permissions.VIEW)
def operation_force_now(request: Request, operation_id: UUID) -> HttpResponse:
    """End the graceful delay now, with force."""
    return _steer(request, operation_id, lambda row: actions.force_now(request.user, row), _("%(vm)s is forced now."))


@require_POST
@needs(permissions.VIEW)
def operation_extend(request: Request, operation_id: UUID) -> HttpResponse:
    """Give the guest a minute more."""
    return _steer(
        request,
        operation_id,
        lambda row: actions.extend(request.user, row, EXTENSION),
        _("The guest of %%(vm)s has %(seconds)s seconds more.") % {"seconds": EXTENSION},
    )


@require_POST
@needs(permissions.VIEW)
def operation_cancel(request: Request, operation_id: UUID) -> HttpResponse:
    """Stop waiting for the guest, or take the operation off its queue."""
    sentence = _("Waiting for %(vm)s stops. A guest that was asked already may still go down, and then stays down.")
    dropped = _("%(vm)s was taken off the queue. Nothing was asked of its guest.")
    return _steer(request, operation_id, lambda row: actions.cancel(request.user, row), sentence, dropped)


def _steer(
    request: Request, operation_id: UUID, change: Callable[[Operation], None], said: str, dropped: str = ""
) -> HttpResponse:
    """Change a running operation.

    Args:
        said: What is told then.
        dropped: The same for one that had not begun yet.
    """
    seen = Operation.objects.filter(permissions.where(request.user, permissions.VIEW, "vm__"))
    operation = get_object_or_404(seen.select_related("vm"), pk=operation_id)
    try:
        change(operation)
    except actions.Refused as refused:
        return answers.refused(request, _("Not possible any more"), refused)
    message = (dropped if dropped and operation.never_began else said) % {"vm": operation.vm.name}
    if request.htmx:
        return answers.refresh(answers.toast(HttpResponse(status=204), message))
    messages.success(request, message)
    return redirect(operation)


def _table(request: Request) -> dict[str, Any]:
    condition, outcome = Q(), request.GET.get("outcome", "")
    if outcome == RUNNING:
        condition &= ~Q(stage=Stage.ENDED)
    elif outcome in set(Outcome):
        condition &= Q(outcome=outcome)
    vm_id = uuid_param(request, "vm")
    if vm_id:
        condition &= Q(vm_id=vm_id)
    return {
        "page_obj": queries.operation_page(request.user, condition, request.GET.get("page")),
        "outcome": outcome,
        "vm": queries.known_vm(request.user, vm_id) if vm_id else None,
        "narrowed": bool(condition),
    }


def _detail(viewer: User, operation_id: UUID) -> dict[str, Any]:
    try:
        return {"operation": queries.operation_detail(viewer, operation_id)}
    except Operation.DoesNotExist:
        raise Http404 from None

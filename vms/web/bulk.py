"""Bulks: what became of each VM of a request for several, and taking the rest off the queue."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from vms import actions, labels, permissions, queries
from vms.models import Bulk
from vms.web import answers
from vms.web.access import Request, needs


@require_safe
@needs(permissions.VIEW_OPERATIONS)
def bulk_detail(request: Request, bulk_id: UUID) -> HttpResponse:
    """One request for several VMs, with what became of each."""
    return render(request, "bulks/bulk_detail.html", _detail(request, bulk_id))


@require_safe
@needs(permissions.VIEW_OPERATIONS)
def bulk_progress(request: Request, bulk_id: UUID) -> HttpResponse:
    """What changes on that page while one of them runs or queues."""
    return render(request, "bulks/fragments/bulk_progress.html", _detail(request, bulk_id))


@require_POST
@needs(permissions.VIEW)
def bulk_cancel(request: Request, bulk_id: UUID) -> HttpResponse:
    """Take those off the queue that have not begun."""
    bulk = _detail(request, bulk_id)["bulk"]
    cancelled = actions.cancel_queued(request.user, bulk)
    message = (
        ngettext(
            "%(count)s virtual machine was taken off the queue. Nothing was asked of its guest.",
            "%(count)s virtual machines were taken off the queue. Nothing was asked of their guests.",
            cancelled,
        )
        if cancelled
        else _("None of them queues any more.")
    ) % {"count": cancelled}
    if request.htmx:
        return answers.refresh(answers.toast(HttpResponse(status=204), message))
    messages.success(request, message)
    return redirect(bulk)


def _detail(request: Request, bulk_id: UUID) -> dict[str, Any]:
    try:
        detail = queries.bulk_detail(request.user, bulk_id, request.GET.get("page"))
    except Bulk.DoesNotExist:
        raise Http404 from None
    return {
        "detail": detail,
        "progress": detail.progress,
        "bulk": detail.progress.bulk,
        "page_obj": detail.page,
        "outcomes": [(labels.OUTCOME[outcome], count) for outcome, count in detail.outcomes],
    }

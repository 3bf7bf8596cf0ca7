"""How a view answers htmx beside its HTML: dialogs closed, messages shown, fragments refreshed."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlsplit

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django_htmx.http import trigger_client_event

from vms import actions
from vms.web.access import Request

R = TypeVar("R", bound=HttpResponse)


def toast(response: R, message: str, level: str = "success") -> R:
    """Show a short message. Levels: info, success, warning, danger."""
    return trigger_client_event(response, "portal:toast", {"level": level, "message": message})


def close_dialog(response: R) -> R:
    """Close the dialog that asked."""
    return trigger_client_event(response, "portal:close-dialog", {})


def wants_rows(request: Request) -> bool:
    """Say whether the page that asks has rows of VMs to be put in their places: the list, or one that does not say."""
    return urlsplit(request.htmx.current_url or "").path in ("", reverse("vm_list"))


def refused(request: Request, title: str, refusal: actions.Refused) -> HttpResponse:
    """Say why something cannot be done now, with a link to the operation that is in the way."""
    context = {"title": title, "refusal": str(refusal), "operation": refusal.operation}
    folder = "operations/fragments" if request.htmx else "operations"
    return refresh(render(request, f"{folder}/operation_refused.html", context, status=409))


def refresh(response: R) -> R:
    """Have the page's live parts read again now."""
    return trigger_client_event(response, "portal:refresh", {})

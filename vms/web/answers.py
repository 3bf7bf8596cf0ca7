"""How a view answers htmx beside its HTML: dialogs closed, messages shown, fragments refreshed."""

from __future__ import annotations

from typing import TypeVar

from django.http import HttpResponse
from django_htmx.http import trigger_client_event

R = TypeVar("R", bound=HttpResponse)


def toast(response: R, message: str, level: str = "success") -> R:
    """Show a short message. Levels: info, success, warning, danger."""
    return trigger_client_event(response, "portal:toast", {"level": level, "message": message})


def close_dialog(response: R) -> R:
    """Close the dialog that asked."""
    return trigger_client_event(response, "portal:close-dialog", {})


def refresh(response: R) -> R:
    """Have the page's live parts read again now."""
    return trigger_client_event(response, "portal:refresh", {})

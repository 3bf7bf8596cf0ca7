"""The keyboard shortcuts: what they are, and the switch that turns them off."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from vms.web.access import Request, signed_in

#: Keys and what they do; shortcuts.js acts on them.
SHORTCUTS = (
    ("?", _("Show this list")),
    ("/", _("Search virtual machines")),
    ("j", _("To the next virtual machine of the list")),
    ("k", _("To the one before")),
    ("x", _("Select it, or take it out of the selection")),
    (".", _("Open its menu")),
    ("r", _("Reboot what is selected, or else the one you are at")),
    ("e", _("Edit what is selected, or else the one you are at")),
)
#: Keys that work whether or not the single ones are switched on.
ALWAYS = (
    (_("Shift+F10, Menu"), _("Open the menu of the row you are at")),
    (_("Esc"), _("Close a menu or dialog; focus goes back to where it was")),
)


@require_safe
@signed_in
def shortcuts(request: Request) -> HttpResponse:
    """List them."""
    template = "account/fragments/shortcuts.html" if request.htmx else "account/shortcuts.html"
    context = {
        "form_action": reverse("preferences"),
        "cancel_url": reverse("account"),
        "shortcuts": SHORTCUTS,
        "always": ALWAYS,
    }
    return render(request, template, context)

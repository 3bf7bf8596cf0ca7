"""The frame of one VM's page: its header, toolbar and tabs, whichever tab is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from vms import permissions, queries
from vms.models import VirtualMachine
from vms.queries import VmRow
from vms.web.access import Request
from vms.web.vm_list import toolbar_alone


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab of the page."""

    key: str
    label: str | Promise
    url: str


#: Left to right: key, title, name of its address, and who it is shown to.
_TABS: tuple[tuple[str, Promise, str, Callable[[User, VirtualMachine], bool]], ...] = (
    ("overview", _("Overview"), "vm_detail", permissions.may_view),
    ("operations", _("Operations"), "vm_operations", permissions.may_view_operations),
    ("pending", _("Pending changes"), "vm_pending", permissions.may_view),
    ("events", _("Events"), "vm_events", permissions.may_view_events),
    ("console", _("Console"), "vm_console", permissions.may_use_console),
    ("permissions", _("Permissions"), "vm_permissions", permissions.may_view),
    ("definition", _("Definition"), "vm_definition", permissions.may_view),
)


def row_of(request: Request, vm_id: UUID) -> VmRow:
    """Return one VM, or answer that there is none for whoever asks."""
    try:
        return queries.vm_row(request.user, vm_id)
    except VirtualMachine.DoesNotExist:
        raise Http404 from None


def page_context(request: Request, row: VmRow, key: str) -> dict[str, Any]:
    """Return what every tab's page needs.

    Raises:
        Http404: Whoever asks may not see this tab.
    """
    tabs = tabs_of(request.user, row.vm)
    tab = next((tab for tab in tabs if tab.key == key), None)
    if tab is None:
        raise Http404
    return {"row": row, "vm": row.vm, "tabs": tabs, "tab": tab} | toolbar_alone(request, row)


def tabs_of(user: User, vm: VirtualMachine) -> list[Tab]:
    """Return the tabs that somebody is shown."""
    return [Tab(key, label, reverse(name, args=[vm.pk])) for key, label, name, allowed in _TABS if allowed(user, vm)]

"""The authority on which controls a person is offered for some VMs, and why one of them does nothing now.

Toolbar and context menu are drawn from the same answer. A control that the person has no permission for is not there
at all; one that does not apply is there, disabled, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from vms import actions, labels, permissions
from vms.domain.power import LOSING_ACTIONS, Action
from vms.models import VirtualMachine
from vms.queries import VmRow
from vms.roles import access_of

ICONS: dict[Action, str] = {
    Action.RUN: "run",
    Action.RUN_ONCE: "run",
    Action.SUSPEND: "suspend",
    Action.SHUT_DOWN: "shut-down",
    Action.POWER_OFF: "power-off",
    Action.REBOOT: "reboot",
    Action.POWER_CYCLE: "power-cycle",
    Action.RESUME: "run",
    Action.REMOVE: "remove",
}
#: Done at once, without a dialog, where no tag wants a reason: nothing is lost by them.
UNASKED = frozenset({Action.RUN, Action.RESUME})
#: The toolbar's controls, left to right, in groups. Reboot stands between the stop and the console buttons.
_TOOLBAR: tuple[tuple[Action | str, ...], ...] = (
    (Action.RUN, Action.SUSPEND),
    (Action.SHUT_DOWN, Action.POWER_OFF),
    (Action.REBOOT,),
    ("console",),
    ("edit",),
)
#: Behind the ▾ beside Run.
_RUN: tuple[tuple[Action | str, ...], ...] = ((Action.RUN_ONCE,),)
_MORE: tuple[tuple[Action | str, ...], ...] = (
    (Action.RESUME,),
    ("pending", "operations", "events"),
    (Action.POWER_CYCLE,),
    (Action.REMOVE,),
)
#: The same on the page of one VM, which has tabs for the rest.
_PAGE_MORE: tuple[tuple[Action | str, ...], ...] = ((Action.RESUME,), (Action.POWER_CYCLE,), (Action.REMOVE,))
_MENU: tuple[tuple[Action | str, ...], ...] = (
    (Action.RUN, Action.RUN_ONCE, Action.RESUME, Action.SUSPEND, Action.SHUT_DOWN, Action.REBOOT),
    ("console", "edit", "pending"),
    ("operations", "events"),
    (Action.POWER_OFF, Action.POWER_CYCLE),
    (Action.REMOVE,),
)
_LABELS: dict[str, Promise] = {
    "console": gettext_lazy("Console"),
    "edit": gettext_lazy("Edit"),
    "pending": gettext_lazy("Pending changes…"),
    "operations": gettext_lazy("Operations"),
    "events": gettext_lazy("Events"),
}
#: Dialogs that are about one VM and no power action.
_DIALOGS = frozenset({"edit", "pending"})
_SHORTCUTS = {Action.REBOOT.value: "r", "edit": "e"}
_ICONS = {"console": "console", "edit": "edit", "pending": "pending", "operations": "clock", "events": "info"}


@dataclass(frozen=True, slots=True)
class Control:
    """One button or menu item.

    Attributes:
        url: Where it leads; "" for one that does nothing now.
        method: `get` for a page, `dialog` for a dialog, `post` for one that acts at once.
        why_not: Why it does nothing now; "" when it does.
        dangerous: What the guest has not saved is lost.
    """

    key: str
    label: str
    icon: str
    url: str
    method: str
    why_not: str = ""
    dangerous: bool = False

    @property
    def shortcut(self) -> str:
        """The single key that presses it; "" for none."""
        return _SHORTCUTS.get(self.key, "")

    @property
    def names_vm(self) -> bool:
        """True when the VM is part of the address, and need not be sent along."""
        return self.key in _DIALOGS


@dataclass(frozen=True, slots=True)
class Unseen:
    """VMs that were selected by a filter: so many that none of them is looked at until an action is confirmed.

    Attributes:
        why_not: Why nothing can be done to them; "" when it can.
    """

    count: int
    why_not: str = ""


Groups = list[list[Control]]


def toolbar(user: User, rows: Sequence[VmRow], unseen: Unseen | None = None) -> Groups:
    """Return the toolbar's controls for the selected VMs."""
    return _groups(user, rows, _TOOLBAR, unseen)


def toolbar_more(user: User, rows: Sequence[VmRow], unseen: Unseen | None = None) -> Groups:
    """Return what stands behind the toolbar's ⋮."""
    return _groups(user, rows, _MORE, unseen)


def page_more(user: User, row: VmRow) -> Groups:
    """Return what stands behind the ⋮ of the toolbar on a VM's own page."""
    return _groups(user, [row], _PAGE_MORE)


def menu(user: User, row: VmRow) -> Groups:
    """Return the context menu of one VM."""
    return _groups(user, [row], _MENU)


def toolbar_run(user: User, rows: Sequence[VmRow], unseen: Unseen | None = None) -> Groups:
    """Return what stands behind the ▾ beside Run."""
    return _groups(user, rows, _RUN, unseen)


def one(user: User, row: VmRow, action: Action) -> Control | None:
    """Return one action's control for one VM; None where the person may not do it."""
    return _control(user, [row], action) if access_of(user).may(_permission(action), row.vm) else None


def _groups(
    user: User, rows: Sequence[VmRow], layout: tuple[tuple[Action | str, ...], ...], unseen: Unseen | None = None
) -> Groups:
    groups = [[_control(user, rows, name, unseen) for name in names if _offered(user, rows, name)] for names in layout]
    return [group for group in groups if group]


def _offered(user: User, rows: Sequence[VmRow], name: Action | str) -> bool:
    """Say whether a person may do something to any of the VMs; where none is chosen, to any VM at all."""
    access, verb = access_of(user), _permission(name)
    return any(access.may(verb, row.vm) for row in rows) if rows else access.may_somewhere(verb)


def _permission(name: Action | str) -> str:
    if isinstance(name, Action):
        return permissions.ACTION_PERMISSION[name]
    return {
        "console": permissions.CONSOLE,
        "edit": permissions.CHANGE,
        "pending": permissions.VIEW,
        "operations": permissions.VIEW_OPERATIONS,
        "events": permissions.VIEW_EVENTS,
    }[name]


def _control(user: User, rows: Sequence[VmRow], name: Action | str, unseen: Unseen | None = None) -> Control:
    if isinstance(name, Action):
        at_once = name in UNASKED and unseen is None and not any(row.vm.reason_tags for row in rows)
        return Control(
            key=name.value,
            label=_("Run once…") if name is Action.RUN_ONCE else str(labels.ACTION[name]),
            icon=ICONS[name],
            url=reverse("vm_action", args=[name]),
            method="post" if at_once else "dialog",
            why_not=_why_not_unseen(name, unseen) if unseen else _why_not(user, name, rows),
            dangerous=name in LOSING_ACTIONS,
        )
    url, why_not = ("", _("Select one virtual machine only.")) if unseen else _elsewhere(user, name, rows)
    method = "dialog" if name in _DIALOGS else "get"
    return Control(name, str(_LABELS[name]), _ICONS[name], url, method, why_not)


def _why_not_unseen(action: Action, unseen: Unseen) -> str:
    if action is Action.RUN_ONCE:
        return _("Select one virtual machine only.")
    return unseen.why_not


def _why_not(user: User, action: Action, rows: Sequence[VmRow]) -> str:
    if not rows:
        return _("Select a virtual machine first.")
    for row in rows:
        if not permissions.may(user, action, row.vm):
            return _("You do not have the permission for this on %(vm)s.") % {"vm": row.vm.name}
    if action is Action.RUN_ONCE and len(rows) > 1:
        return _("Select one virtual machine only.")
    refusals = [
        actions.refusal_text(action, row.vm, verdict, row.active)
        for row in rows
        if not (verdict := actions.verdict_for(action, row.vm, row.active)).allowed
    ]
    if len(refusals) < len(rows):
        return ""
    others = len(refusals) - 1
    if not others:
        return refusals[0]
    more = ngettext("%(count)s more cannot either.", "%(count)s more cannot either.", others)
    return f"{refusals[0]} {more % {'count': others}}"


def _elsewhere(user: User, name: str, rows: Sequence[VmRow]) -> tuple[str, str]:
    """Return where a control that is no power action leads, or why it does not."""
    if not rows:
        return "", _("Select a virtual machine first.")
    if len(rows) > 1:
        return "", _("Select one virtual machine only.")
    vm = rows[0].vm
    if name == "console":
        return _console(user, vm)
    if name in _DIALOGS:
        return reverse(f"vm_{name}", args=[vm.pk]), ""
    return f"{reverse('operation_list' if name == 'operations' else 'event_list')}?vm={vm.pk}", ""


def _console(user: User, vm: VirtualMachine) -> tuple[str, str]:
    if not permissions.may_use_console(user, vm):
        return "", _("You do not have the permission for this on %(vm)s.") % {"vm": vm.name}
    return reverse("vm_console", args=[vm.pk]), actions.console_refusal(vm)

"""A VM's row in the list. While nothing is being done to a VM, its row is drawn once for all who look at it.

Drawing rows is most of what a page of the list costs. What is kept cannot be out of date: the template of a quiet row
gets nothing but `Shown`, and two rows that are equal in that look the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from vms.permissions import Actor
from vms.queries import VmRow
from vms.templatetags.portal import for_how_long

register = template.Library()

_TEMPLATE = "vms/fragments/vm_row.html"
#: Some 4 KB each.
_KEPT = 5_000


class ShownTag(NamedTuple):
    """A tag of a VM."""

    pk: int
    name: str


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a row shows of its VM, apart from what is being done to it, has just been, or waits.

    Attributes:
        memory: In bytes.
        up_for: How long it has been running, in words.
    """

    pk: UUID
    name: str
    url: str
    status: str
    status_text: str
    tags: tuple[ShownTag, ...]
    host: str
    agent_connected: bool
    run_once: bool
    run_stateless: bool
    vcpus: int
    memory: int
    running_since: datetime | None
    up_for: str

    @classmethod
    def of(cls, row: VmRow) -> Shown:
        """Return what is shown of a VM now."""
        vm = row.vm
        return cls(
            pk=vm.pk,
            name=vm.name,
            url=vm.get_absolute_url(),
            status=vm.status,
            status_text=vm.get_status_display(),
            tags=tuple(ShownTag(tag.pk, tag.name) for tag in vm.tags.all()),
            host=vm.host.name,
            agent_connected=vm.agent_connected,
            run_once=vm.run_once,
            run_stateless=vm.run_stateless,
            vcpus=vm.vcpus,
            memory=vm.memory,
            running_since=vm.running_since,
            up_for=for_how_long(vm.running_since),
        )


def drawn(row: VmRow, user: Actor, *, oob: bool = False) -> SafeString:
    """Draw a row for somebody.

    Args:
        oob: It replaces the row of that VM on a page.
    """
    shown, pending = Shown.of(row), bool(row.changes or row.vm.change_waits)
    if row.active is None and row.told is None and not pending:
        return _quiet(shown, oob, get_language())
    context = {"vm": shown, "row": row, "pending": pending, "oob": oob, "user": user}
    return render_to_string(_TEMPLATE, context)


@lru_cache(maxsize=_KEPT)
def _quiet(shown: Shown, oob: bool, _language: str | None) -> SafeString:
    return mark_safe(render_to_string(_TEMPLATE, {"vm": shown, "oob": oob}))  # noqa: S308  (a template escaped it)


@register.simple_tag(takes_context=True)
def vm_row(context: dict[str, Any], row: VmRow, *, oob: bool = False) -> SafeString:
    """Draw a row of the list for whoever looks."""
    return drawn(row, context["user"], oob=oob)

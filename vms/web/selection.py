"""The VMs that a request is about: `?vm=ID`, as often as there are VMs, or `?match=FILTER`, all that a filter finds.

What a filter finds is looked up when an action is confirmed, and again when it is accepted. The confirmation carries
what it showed (`confirmed`), so that nothing is done to a VM that nobody was asked about.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import BadRequest
from django.db.models import Q
from django.http import QueryDict
from django.utils.translation import gettext as _

from vms import permissions, queries
from vms.models import VirtualMachine
from vms.queries import VmRow
from vms.web.filters import FilterError, VmFilter

#: One request names at most this many VMs.
MOST = 500
#: A filter may stand for at most this many: each is a transaction of its own, and the person waits for all of them.
MOST_MATCHING = 5000

_UUID_BYTES = 16


class TooMany(Exception):
    """A filter finds more VMs than one request acts on. The text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Left:
    """A VM that is left alone, and why."""

    vm: VirtualMachine
    why: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What a request acts on.

    Attributes:
        rows: The VMs, in the list's order.
        match: The filter that they were chosen by, as it was sent; None where each was named.
        left: Those that the filter finds, or found, and that are left alone.
    """

    rows: list[VmRow]
    match: str | None = None
    left: tuple[Left, ...] = ()

    @property
    def confirmed(self) -> str:
        """The VMs in the form in which a confirmation carries them."""
        return urlsafe_b64encode(b"".join(row.vm.pk.bytes for row in self.rows)).decode()

    def where(self, allowed: Callable[[VirtualMachine], bool]) -> Selection:
        """Leave alone what is not allowed.

        Raises:
            PermissionDenied: Nothing is, or one of the VMs that were named is not.
        """
        mine = [row for row in self.rows if allowed(row.vm)]
        others = [row.vm for row in self.rows if not allowed(row.vm)]
        permissions.require(not others or (self.match is not None and bool(mine)))
        sentence = _("You do not have the permission for this on %(vm)s.")
        return Selection(mine, self.match, (*self.left, *_left(others, sentence)))


def selected_ids(data: QueryDict) -> list[UUID]:
    """Return the ids that were sent, each once, in the order sent.

    Raises:
        BadRequest: One of them is no id, or there are too many.
    """
    try:
        ids = list(dict.fromkeys(UUID(value) for value in data.getlist("vm")))
    except ValueError:
        raise BadRequest("not the id of a virtual machine") from None
    if len(ids) > MOST:
        raise BadRequest(f"more than {MOST} virtual machines")
    return ids


def selected_rows(viewer: User, data: QueryDict) -> list[VmRow]:
    """Return the VMs that were named, in the list's order.

    Raises:
        BadRequest: None was sent, one of them is no id, or one does not exist for this person.
    """
    ids = selected_ids(data)
    rows = queries.vm_rows(viewer, ids)
    if not ids or len(rows) != len(ids):
        raise BadRequest("no virtual machine, or one that does not exist")
    return rows


def match_count(viewer: User, match: str) -> int:
    """Return how many VMs a filter finds now.

    Raises:
        BadRequest: It is no filter.
    """
    return queries.match_count(viewer, _condition(match))


def selection(viewer: User, data: QueryDict, *, accepting: bool = False) -> Selection:
    """Return the VMs that were named, or that a filter finds now.

    Args:
        accepting: Only those that were confirmed; what has changed since then is told of what is left alone.

    Raises:
        BadRequest: None was sent or found, one of them is no id, or one does not exist for this person.
        TooMany: More than `MOST_MATCHING` match.
    """
    match = data.get("match")
    if match is None:
        return Selection(selected_rows(viewer, data))
    rows = queries.matching_rows(viewer, _condition(match), MOST_MATCHING + 1)
    if len(rows) > MOST_MATCHING:
        raise TooMany(too_many_text())
    if accepting:
        return _since(viewer, rows, match, _ids(data.get("confirmed", "")))
    if not rows:
        raise BadRequest("no virtual machine matches")
    return Selection(rows, match)


def too_many_text() -> str:
    """Say that a filter finds too many."""
    return _("More than %(most)s virtual machines match. Narrow the filter, and act on fewer at a time.") % {
        "most": MOST_MATCHING
    }


def _since(viewer: User, rows: list[VmRow], match: str, confirmed: set[UUID]) -> Selection:
    """Return those of the VMs that were confirmed; the others, and those that match no more, are left alone."""
    new = [row.vm for row in rows if row.vm.pk not in confirmed]
    missing = confirmed - {row.vm.pk for row in rows}
    gone = [row.vm for row in queries.vm_rows(viewer, missing)] if missing else []
    left = (
        *_left(gone, _("%(vm)s was left alone: it does not match the filter any more.")),
        *_left(new, _("%(vm)s was left alone: it matches the filter only since you were asked.")),
    )
    return Selection([row for row in rows if row.vm.pk in confirmed], match, left)


def _left(vms: Iterable[VirtualMachine], sentence: str) -> tuple[Left, ...]:
    return tuple(Left(vm, sentence % {"vm": vm.name}) for vm in vms)


def _condition(match: str) -> Q:
    try:
        return VmFilter.of(QueryDict(match)).condition()
    except FilterError as error:
        raise BadRequest(str(error)) from None


def _ids(confirmed: str) -> set[UUID]:
    try:
        packed = urlsafe_b64decode(confirmed)
        ids = {UUID(bytes=packed[at : at + _UUID_BYTES]) for at in range(0, len(packed), _UUID_BYTES)}
    except (binascii.Error, ValueError):
        raise BadRequest("not what a confirmation carries") from None
    if not ids or len(ids) > MOST_MATCHING:
        raise BadRequest("nothing that was confirmed, or too much")
    return ids

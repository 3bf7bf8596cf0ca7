"""The filter text of the VM list: `web* status=up host=kvm1`, words and fields that must all hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q
from django.http import QueryDict
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from vms import labels, queries
from vms.domain import search
from vms.domain.power import VmStatus
from vms.models import VirtualMachine

_FIELDS = {"name": "name", "host": "host__name"}
_NAMES = ("name", "status", "host", "tag", "pending")


class FilterError(ValueError):
    """A filter text cannot be understood. The text of the error is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Chip:
    """One of the things that the list is narrowed down by.

    Attributes:
        label: What it is, as it could be typed.
        filter: The filter text that is left without it; None for an empty one.
        status: The status that is left without it; None for any.
    """

    label: str
    filter: str | None
    status: str | None


@dataclass(frozen=True, slots=True)
class VmFilter:
    """What the list is narrowed down to.

    Attributes:
        text: The filter as it was typed.
        status: A status chosen from the list, or "".
    """

    text: str = ""
    status: str = ""

    @classmethod
    def of(cls, data: QueryDict) -> VmFilter:
        """Return the filter of an address: `filter`, `status`, and `name` for a VM's own address."""
        text = data.get("filter", "")
        if name := data.get("name"):
            text = f"{text} {search.term('name', name)}".strip()
        return cls(text=text, status=data.get("status", ""))

    @property
    def query(self) -> str:
        """The filter as part of an address."""
        return urlencode({name: value for name, value in (("filter", self.text), ("status", self.status)) if value})

    @property
    def chips(self) -> list[Chip]:
        """What it is made of, one by one; nothing where it cannot be understood."""
        try:
            words = search.words(self.text)
        except search.SearchError:
            return []
        status = self.status or None
        chips = [
            Chip(search.text_of([word]), search.text_of(words[:number] + words[number + 1 :]) or None, status)
            for number, word in enumerate(words)
        ]
        if status:
            chips.append(Chip(search.term("status", status), self.text or None, None))
        return chips

    @property
    def narrows(self) -> bool:
        """True when some VMs may be left out."""
        return bool(self.text.strip() or self.status)

    def condition(self) -> Q:
        """Return the filter as a condition on VMs.

        Raises:
            FilterError: It cannot be understood.
        """
        found = Q()
        for word in _words(self.text):
            field, equals, value = word.partition("=")
            whole = word if "*" in word else f"*{word}*"
            found &= _term(field.lower(), value) if equals else _matches("name", whole)
        if self.status:
            found &= _status(self.status)
        return found


def _words(text: str) -> list[str]:
    try:
        return search.words(text)
    except search.SearchError:
        raise FilterError(_("A quotation mark is not closed.")) from None


def _term(field: str, value: str) -> Q:
    if field not in _NAMES:
        names = get_text_list([f"{name}=" for name in _NAMES], _("or"))
        raise FilterError(_("“%(field)s=” is not a field. Use %(names)s.") % {"field": field, "names": names})
    if not value:
        raise FilterError(_("“%(field)s=” needs a value, for example %(field)s=web*.") % {"field": field})
    if field == "tag":
        # Asked apart: a VM with two such tags is still one VM.
        return Q(pk__in=VirtualMachine.objects.filter(_matches("tags__name", value)).values("pk"))
    if field == "pending":
        return _pending(value)
    return _status(value) if field == "status" else _matches(_FIELDS[field], value)


def _matches(column: str, pattern: str) -> Q:
    inner = pattern.strip("*")
    if "*" in inner:
        regex = ".*".join(re.escape(part) for part in pattern.split("*"))
        return Q(**{f"{column}__iregex": f"^{regex}$"})
    starts, ends = pattern.startswith("*"), pattern.endswith("*")
    lookup = {(True, True): "icontains", (True, False): "iendswith", (False, True): "istartswith"}
    return Q(**{f"{column}__{lookup.get((starts, ends), 'iexact')}": inner})


def _pending(value: str) -> Q:
    if value.lower() in ("yes", _("yes")):
        return queries.PENDING
    if value.lower() in ("no", _("no")):
        return ~queries.PENDING
    raise FilterError(_("“pending=” is either pending=yes or pending=no."))


def _status(value: str) -> Q:
    wanted = value.lower().replace(" ", "_").replace("-", "_")
    for status in VmStatus:
        if wanted in (status.value, str(labels.STATUS[status]).lower().replace(" ", "_")):
            return Q(status=status)
    raise FilterError(_("“%(value)s” is not a status. Pick one from the list.") % {"value": value})

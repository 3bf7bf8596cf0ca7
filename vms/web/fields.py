"""Form fields of a VM's configuration: what people type, turned into what the domain judges."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from vms import labels
from vms.domain.configuration import MIB, BootDevice, Part

_MEMORY = re.compile(r"(?P<number>[0-9]{1,15}(\.[0-9]{1,15})?)\s*(?P<unit>[MGT]?)(iB)?", re.ASCII | re.IGNORECASE)
#: A number alone counts MiB.
_UNITS = {"": MIB, "M": MIB, "G": MIB << 10, "T": MIB << 20}


class MemoryField(forms.CharField):
    """Memory in bytes, typed as 2 GiB, 1.5 GiB, 1536 MiB, or a number of MiB; None where nothing was entered."""

    def __init__(self, **kwargs: Any) -> None:
        """Build it."""
        super().__init__(**kwargs)
        self.widget.attrs |= {"autocomplete": "off", "class": "portal-short"}

    def prepare_value(self, value: Any) -> Any:
        """Write bytes as they are typed; what a person typed is kept as it is."""
        return labels.exact_memory(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        """Return the bytes; those of a field that is fixed come as bytes already."""
        if isinstance(value, int):
            return value
        text = super().to_python(value)
        if not text:
            return None
        typed = _MEMORY.fullmatch(text)
        if typed is None:
            raise ValidationError(str(labels.CONFIGURATION_ERROR["memory_text"]))
        size = Decimal(typed["number"]) * _UNITS[typed["unit"].upper()]
        if size != int(size):
            raise ValidationError(str(labels.CONFIGURATION_ERROR["memory_range"]))
        return int(size)


class VcpusField(forms.CharField):
    """A whole number of virtual CPUs; None where nothing was entered."""

    def __init__(self, **kwargs: Any) -> None:
        """Build it."""
        super().__init__(**kwargs)
        self.widget.attrs |= {"autocomplete": "off", "inputmode": "numeric", "class": "portal-short"}

    def to_python(self, value: Any) -> Any:
        """Return the number."""
        text = super().to_python(value)
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise ValidationError(str(labels.CONFIGURATION_ERROR["vcpus_range"]))
        return int(text)


class TextField(forms.CharField):
    """Text of several lines, in which a line break is one character, as everywhere but in browsers."""

    widget = forms.Textarea(attrs={"rows": 3})

    def to_python(self, value: Any) -> str:
        """Return the text."""
        return (super().to_python(value) or "").replace("\r\n", "\n").replace("\r", "\n")


class BootOrderField(forms.TypedChoiceField):
    """The devices to boot from, in order: every order there is, so that none that makes no sense can be chosen."""

    def __init__(self, **kwargs: Any) -> None:
        """Build it."""
        super().__init__(choices=_orders, coerce=lambda value: tuple(value.split(",")), **kwargs)

    def keep(self, order: Sequence[str]) -> None:
        """Offer also an order that was configured elsewhere, and cannot be made of the devices here."""
        if not order or not set(order) <= set(BootDevice):
            self.choices = [_choice(order), *_orders()]


def _orders() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return every order of the devices, in groups by the first."""
    orders = [order for length in range(1, len(BootDevice) + 1) for order in permutations(BootDevice, length)]
    return [
        (str(labels.BOOT_DEVICE[first]), [_choice(order) for order in orders if order[0] is first])
        for first in BootDevice
    ]


def _choice(order: Sequence[str]) -> tuple[str, str]:
    return boot_choice(order), labels.part_value(Part.BOOT, order)


def boot_choice(order: Sequence[str]) -> str:
    """Return an order as it stands among the choices."""
    return ",".join(order)

"""The authority on a VM's network interfaces, as far as the line says that a configuration keeps of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_MAC = re.compile("(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE | re.ASCII)
#: How libvirt calls an interface that is on no network, bridge or device with a name.
_WITHOUT_PLACE = ("user", "ethernet", "vhostuser", "hostdev")


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface.

    Attributes:
        kind: What it is connected to, in libvirt's words: `network`, `bridge`, `user`.
        place: The name of that; empty where it has none.
        model: What the guest sees; empty where it is not said.
        mac: Its address; empty where it is not said.
    """

    kind: str
    place: str = ""
    model: str = ""
    mac: str = ""

    @classmethod
    def of(cls, line: str) -> Self:
        """Return what a line of a configuration says: kind, place, model and address, those that are known."""
        kind, *rest = line.split(" ")
        mac = rest.pop() if rest and _MAC.fullmatch(rest[-1]) else ""
        place = rest.pop(0) if rest and kind not in _WITHOUT_PLACE else ""
        return cls(kind, place, " ".join(rest), mac)

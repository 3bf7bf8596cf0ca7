"""The authority on a VM's disks as far as its removal goes: where their data is, and which may go with the VM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self


class Kept(StrEnum):
    """Why a disk's data stays in any case. The words for people are in `vms.labels`."""

    NO = ""
    """It may go."""
    MEDIUM = "medium"
    """A CD or floppy image, which other VMs use as well."""
    SHARED = "shared"
    """Shared with others, or only read."""
    ELSEWHERE = "elsewhere"
    """On the network, or in a form that the storage API of the host does not reach."""
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk.

    Attributes:
        target: Its name in the guest, `vda` for example.
        source: Where its data is: a path, or `pool/volume`; empty for a drive with nothing in it.
        kept: Why its data stays when the VM is removed, whatever a person wishes.
    """

    target: str
    source: str
    kept: Kept = Kept.NO

    @property
    def may_go(self) -> bool:
        """True when its data can be removed together with the VM."""
        return self.kept is Kept.NO

    def as_json(self) -> dict[str, Any]:
        """Return it in the form that is stored."""
        return {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def of(cls, stored: Mapping[str, str]) -> Self:
        """Return what `as_json` made."""
        return cls(stored["target"], stored["source"], Kept(stored["kept"]))


def not_removable(disks: Iterable[Disk], sources: Iterable[str]) -> list[str]:
    """Return which of these sources are no disks that may go."""
    may_go = {disk.source for disk in disks if disk.may_go}
    return [source for source in sources if source not in may_go]

"""The authority on what people can prefer: themes, and the hints that each kind of page begins with."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Theme(StrEnum):
    """How the portal looks; SYSTEM follows what the operating system says."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class Hint(StrEnum):
    """The pages that say at first what they are for."""

    LIST = "list"
    VM = "vm"
    OPERATIONS = "operations"
    HOSTS = "hosts"
    EVENTS = "events"
    ACCOUNT = "account"


def dismiss(dismissed: Iterable[str], hint: Hint) -> list[str]:
    """Return the hints that were dismissed, with one more; what is no hint any more is left out."""
    return sorted({*Hint} & {*dismissed, hint})

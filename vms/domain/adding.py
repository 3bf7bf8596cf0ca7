"""The authority on a VM that is to be added: what it may be called, what it is like, and which host it goes to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vms.domain.configuration import MIB, BootDevice, Configuration, Part, checked
from vms.domain.errors import ConfigurationError

#: Clients put names into addresses and search texts as they are. Source: REST contract, 4.3.
_NAME = re.compile(r"[0-9A-Za-z_.-]{1,255}", re.ASCII)
#: Names of directories, which no file on a host can have.
_NO_NAMES = frozenset({".", ".."})

#: What a VM has that nothing else was said of: no disk, and a CD drive without a medium, for an installer's image.
BLANK = Configuration(memory=1024 * MIB, vcpus=1, boot=(BootDevice.DISK.value,), cd_image="")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host that a VM could be added to.

    Attributes:
        answers: It was connected when last heard of.
        vms: How many VMs it has.
    """

    id: int
    name: str
    answers: bool
    vms: int


def check_name(name: object) -> None:
    """Refuse what no VM can be called.

    Raises:
        ConfigurationError: `name_characters`.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _NO_NAMES:
        raise ConfigurationError("name", "name_characters")


def configured(values: Mapping[Part, Any]) -> Configuration:
    """Return the configuration of a new VM: a blank one's, but for what was asked for.

    Raises:
        ConfigurationError: A value that cannot be configured, or a part that is not edited here.
    """
    changed = checked(values, BLANK)
    return replace(BLANK, **{part.value: value for part, value in changed.items()})


def choose(candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the host that answers and has the fewest VMs, the first by name of several; None where none answers."""
    answering = [candidate for candidate in candidates if candidate.answers]
    return min(answering, key=lambda candidate: (candidate.vms, candidate.name), default=None)

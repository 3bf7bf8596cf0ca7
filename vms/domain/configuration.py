"""The authority on a VM's configuration: what of it the portal knows, may change, and how two of them differ.

Pending changes are never stored: they are what differs between the configuration a run was started with and the one
that is stored for the next, worked out each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from vms.domain.errors import ConfigurationError

MIB = 1 << 20
#: 16 TiB, more than QEMU gives a guest today.
MOST_MEMORY = 1 << 44
MOST_VCPUS = 4096
_LONGEST_TEXT = 4000
_LONGEST_PATH = 4095


class Part(StrEnum):
    """One named part of a configuration."""

    DESCRIPTION = "description"
    MEMORY = "memory"
    VCPUS = "vcpus"
    BOOT = "boot"
    CD_IMAGE = "cd_image"
    KERNEL = "kernel"
    INITRD = "initrd"
    COMMAND_LINE = "command_line"
    DISKS = "disks"
    INTERFACES = "interfaces"


#: What Edit VM changes. The other parts are changed on the host; the portal shows that they wait, and takes them back.
EDITABLE = (Part.DESCRIPTION, Part.MEMORY, Part.VCPUS, Part.BOOT, Part.CD_IMAGE)


class BootDevice(StrEnum):
    """What a VM can start from."""

    DISK = "hd"
    CD = "cdrom"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Configuration:
    """What is configured of a VM.

    Attributes:
        description: Free text.
        memory: In bytes.
        vcpus: Number of virtual CPUs.
        boot: Devices to boot from, in order, in libvirt's words; those beyond `BootDevice` are kept as they are.
        cd_image: Path in the first CD drive, empty when nothing is in it; None when there is no drive.
        kernel: Path of a kernel that is booted directly, or empty.
        initrd: Path of its initial RAM disk, or empty.
        command_line: Its command line.
        disks: One line a disk, fit to be shown.
        interfaces: One line a network interface, fit to be shown.
    """

    description: str = ""
    memory: int = 0
    vcpus: int = 1
    boot: tuple[str, ...] = ()
    cd_image: str | None = None
    kernel: str = ""
    initrd: str = ""
    command_line: str = ""
    disks: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it in the form that is stored, equal to what comes back from there."""
        values = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Return what `as_json` made. Parts that a later version added have their default."""
        known = cls.__dataclass_fields__
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in stored.items() if name in known
        }
        return cls(**values)

    def value(self, part: Part) -> Any:
        """Return one part."""
        return getattr(self, part.value)


@dataclass(frozen=True, slots=True)
class Change:
    """One part in which the next run will differ from the one that is running."""

    part: Part
    now: Any
    next: Any


def pending(running: Configuration | None, stored: Configuration) -> tuple[Change, ...]:
    """Return what the next cold start will change.

    Args:
        running: The configuration that the run was started with; None when nothing runs.
    """
    if running is None:
        return ()
    return tuple(
        Change(part, running.value(part), stored.value(part))
        for part in Part
        if running.value(part) != stored.value(part)
    )


def checked(values: Mapping[Part, Any], stored: Configuration) -> dict[Part, Any]:
    """Return those of the new values that differ from what is stored.

    Raises:
        ConfigurationError: A value that cannot be configured, or a part that is not edited here.
    """
    for part, value in values.items():
        _CHECKS[part](value)
    if values.get(Part.CD_IMAGE) and stored.cd_image is None:
        raise ConfigurationError(Part.CD_IMAGE, "no_drive")
    return {part: value for part, value in values.items() if stored.value(part) != value}


def check_memory(value: object) -> None:
    """Refuse anything but whole MiB within what a guest can have.

    Raises:
        ConfigurationError: `memory_range`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not MIB <= value <= MOST_MEMORY or value % MIB:
        raise ConfigurationError(Part.MEMORY, "memory_range")


def check_vcpus(value: object) -> None:
    """Refuse anything but a whole number of virtual CPUs.

    Raises:
        ConfigurationError: `vcpus_range`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_VCPUS:
        raise ConfigurationError(Part.VCPUS, "vcpus_range")


def check_path(part: Part, value: object) -> None:
    """Refuse anything but an absolute path on the host, or nothing.

    Raises:
        ConfigurationError: `path`.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_PATH or not _printable(value):
        raise ConfigurationError(part, "path")
    if value and not value.startswith("/"):
        raise ConfigurationError(part, "path")


def check_line(part: Part, value: object) -> None:
    """Refuse anything but one line of text.

    Raises:
        ConfigurationError: `text`.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not _printable(value):
        raise ConfigurationError(part, "text")


def check_text(name: str, value: object) -> None:
    """Refuse anything but text.

    Args:
        name: What it is the text of.

    Raises:
        ConfigurationError: `text`.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not all(map(_printable, value.splitlines())):
        raise ConfigurationError(name, "text")


def _check_boot(value: object) -> None:
    if not isinstance(value, tuple) or not value or len(set(value)) != len(value):
        raise ConfigurationError(Part.BOOT, "boot")
    if not set(value) <= set(BootDevice):
        raise ConfigurationError(Part.BOOT, "boot")


def _printable(line: str) -> bool:
    # XML knows no control characters, and a path or a line with a line break is a mistake.
    return all(char.isprintable() or char == "\t" for char in line)


def _refuse(part: Part) -> Any:
    def refuse(value: object) -> None:
        raise ConfigurationError(part, "not_edited_here")

    return refuse


_CHECKS = {part: _refuse(part) for part in Part} | {
    Part.DESCRIPTION: lambda value: check_text(Part.DESCRIPTION, value),
    Part.MEMORY: check_memory,
    Part.VCPUS: check_vcpus,
    Part.BOOT: _check_boot,
    Part.CD_IMAGE: lambda value: check_path(Part.CD_IMAGE, value),
}

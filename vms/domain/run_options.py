"""The authority on the ways in which one run of a VM may differ from its stored configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from vms.domain.configuration import BootDevice, Part, check_line, check_memory, check_path, check_vcpus
from vms.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one run does differently. The stored configuration is not touched, and holds again from the next run on.

    Attributes:
        boot: Boot from this device first; None leaves the order.
        cd_image: Path of the image in the first CD drive for this run, empty for an empty drive; None leaves it.
        kernel: Path of a kernel on the host that is booted directly; empty leaves it.
        initrd: Path of its initial RAM disk.
        command_line: Its command line.
        paused: Start, but let no CPU run yet.
        memory: In bytes; None leaves it.
        vcpus: Number of virtual CPUs; None leaves it.
        stateless: Drop what the run writes to its disks when it ends.
    """

    boot: BootDevice | None = None
    cd_image: str | None = None
    kernel: str = ""
    initrd: str = ""
    command_line: str = ""
    paused: bool = False
    memory: int | None = None
    vcpus: int | None = None
    stateless: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it in the form that is stored."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Return what `as_json` made."""
        boot = stored.get("boot")
        return cls(**{**stored, "boot": BootDevice(boot) if boot else None})

    @property
    def overrides(self) -> bool:
        """True when the run differs in more than that its disks are stateless."""
        return self != RunOptions(stateless=self.stateless)


#: A run as it is configured.
AS_STORED = RunOptions()


def check(options: RunOptions, *, has_cd_drive: bool) -> None:
    """Refuse options that no run can have.

    Raises:
        ConfigurationError: Names the part that is wrong.
    """
    if options.cd_image:
        if not has_cd_drive:
            raise ConfigurationError(Part.CD_IMAGE, "no_drive")
        check_path(Part.CD_IMAGE, options.cd_image)
    check_path(Part.KERNEL, options.kernel)
    check_path(Part.INITRD, options.initrd)
    check_line(Part.COMMAND_LINE, options.command_line)
    if not options.kernel and (options.initrd or options.command_line):
        raise ConfigurationError(Part.KERNEL, "needs_kernel")
    if options.memory is not None:
        check_memory(options.memory)
    if options.vcpus is not None:
        check_vcpus(options.vcpus)

"""What a start says of the run: `<vm>` in it holds for that run only. Source: REST contract, 5.

What is sent as the VM has it changes nothing, and no more do empty elements, which clients send. What no run can differ
in is refused by its name.
"""

from __future__ import annotations

from typing import Any

from vms.api.declare import Group, Kind, Many, Member, Scalar, Tree, read
from vms.api.faults import Invalid
from vms.api.leaves import places, strangers
from vms.api.resources.vm import BOOT, TOPOLOGY, VM, Shown
from vms.api.resources.vm_writing import vcpus_of
from vms.domain.configuration import BootDevice
from vms.domain.run_options import RunOptions, check


def _text(name: str, doc: str = "") -> Scalar[None]:
    return Scalar(name, Kind.TEXT, lambda _: None, doc, written=True)


#: What one run can differ in.
OVERRIDES: tuple[Member, ...] = (
    Scalar("memory", Kind.WHOLE, lambda _: None, "Bytes, in whole MiB.", written=True),
    Group("cpu", (TOPOLOGY,)),
    Group(
        "os",
        (
            BOOT,
            _text("kernel", "The absolute path of a file on the host."),
            _text("initrd", "The absolute path of a file on the host."),
            _text("cmdline"),
        ),
    ),
    Many(
        "cdroms",
        Group("cdrom", (Group("file", (_text("id", "The absolute path of a file on the host; empty for none."),)),)),
        lambda _: (),
        written=True,
    ),
    Scalar("stateless", Kind.FLAG, lambda _: None, "Drop at its end what the run writes to its disks.", written=True),
)
_PLACES = frozenset(places(OVERRIDES))


def options_of(sent: Any, shown: Shown, *, paused: bool) -> RunOptions:
    """Read how one run is to differ.

    Args:
        sent: What a client has sent as `<vm>`.
        shown: The VM as its next run will be.
        paused: No CPU is to run yet.

    Raises:
        Invalid: Something is not what it is declared to be, or no run can differ in it.
        ConfigurationError: A value that no run can have.
    """
    wanted, stored = read(OVERRIDES, sent, "vm"), shown.row.upcoming
    _check_places(sent, shown)
    vcpus = vcpus_of(wanted.get("cpu", {}).get("topology", {}))
    options = RunOptions(
        boot=_boot(tuple(wanted.get("os", {}).get("boot", {}).get("devices", ())), stored.boot),
        cd_image=_cd_image(wanted.get("cdroms", []), stored.cd_image),
        paused=paused,
        memory=_other(wanted.get("memory"), stored.memory),
        vcpus=_other(vcpus, stored.vcpus),
        stateless=_stateless(wanted.get("stateless"), always=shown.vm.stateless),
        **_kernel(wanted.get("os", {}), (stored.kernel, stored.initrd, stored.command_line)),
    )
    check(options, has_cd_drive=stored.cd_image is not None)
    return options


def _check_places(sent: Any, shown: Shown) -> None:
    host = shown.vm.host
    its_host = {"placement_policy": {"hosts": {"host": {"name": host.name, "id": host.pk}}}}
    for place, value in strangers(sent, [VM.show(shown), its_host]):
        if place not in _PLACES:
            raise Invalid(f"vm.{place} cannot be “{value}” for one run.")


def _other(wanted: int | None, stored: int) -> int | None:
    return None if wanted == stored else wanted


def _boot(wanted: tuple[str, ...], stored: tuple[str, ...]) -> BootDevice | None:
    """Return the device to try first; the others follow in their order."""
    if stored[: len(wanted)] == wanted:
        return None
    order = (wanted[0], *(device for device in stored if device != wanted[0]))
    if order[: len(wanted)] != wanted:
        raise Invalid("vm.os.boot: one run can try another device first; the others follow in their order.")
    return BootDevice(wanted[0])


def _cd_image(wanted: list[Tree], stored: str | None) -> str | None:
    images = [each["file"]["id"] for each in wanted if "id" in each.get("file", {})]
    if len(images) > 1:
        raise Invalid("vm.cdroms: one drive can have another image.")
    return images[0] if images and images[0] != (stored or "") else None


def _stateless(wanted: bool | None, *, always: bool) -> bool:
    if always and wanted is False:
        raise Invalid("vm.stateless: every run of this VM is stateless.")
    return bool(wanted) and not always


def _kernel(wanted: Tree, stored: tuple[str, str, str]) -> dict[str, str]:
    """Return the kernel with what belongs to it, all of it where any of it differs."""
    found = tuple(wanted.get(name) or was for name, was in zip(("kernel", "initrd", "cmdline"), stored, strict=True))
    return {} if found == stored else dict(zip(("kernel", "initrd", "command_line"), found, strict=True))

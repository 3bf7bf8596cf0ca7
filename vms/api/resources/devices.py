"""What is built into one VM: disks, CD drive, network interfaces; and what its guest agent tells of these.

By the stored configuration, which the next cold start uses. The portal keeps what people need to see of them, and
clients get that; they are changed on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from vms import actions
from vms.api.declare import Group, Kind, Many, Reference, Resource, Scalar
from vms.api.resources.vm_part import VmParts, part_id
from vms.domain.configuration import BootDevice
from vms.domain.disks import Disk, Kept
from vms.domain.interfaces import Interface
from vms.models import Glimpse, VirtualMachine

#: How a disk is attached, by the names that it has in guests for that reason; for others the name does not tell.
_DISK_INTERFACES = {"vd": "virtio", "hd": "ide"}
#: Models of network interfaces that oVirt has a word for.
_NIC_INTERFACES = ("virtio", "e1000", "rtl8139")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A disk of a VM; the first is the one that it starts from, where it starts from disk."""

    vm: VirtualMachine
    disk: Disk
    first: bool


@dataclass(frozen=True, slots=True)
class Drive:
    """The CD drive of a VM, with the path of what is in it."""

    vm: VirtualMachine
    image: str


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface of a VM, by its number from 1."""

    vm: VirtualMachine
    number: int
    interface: Interface


@dataclass(frozen=True, slots=True)
class Reported:
    """The addresses that a guest's agent tells."""

    vm: VirtualMachine
    addresses: tuple[str, ...]


DISK_ATTACHMENT: Resource[Attachment] = Resource(
    name="disk_attachment",
    plural="disk_attachments",
    path=lambda it: f"vms/{it.vm.pk}/diskattachments",
    id_of=lambda it: part_id(it.vm, "disk", it.disk.target),
    members=(
        Scalar("logical_name", Kind.TEXT, lambda it: it.disk.target),
        Scalar("active", Kind.FLAG, lambda it: True),
        Scalar("bootable", Kind.FLAG, lambda it: it.first and BootDevice.DISK in it.vm.stored.boot),
        Scalar("interface", Kind.TEXT, lambda it: _DISK_INTERFACES.get(it.disk.target[:2])),
        Group("disk", (Scalar("name", Kind.TEXT, lambda it: it.disk.source, "Where its data is on the host."),)),
        Reference("vm", "vms", lambda it: it.vm.pk),
    ),
)

CDROM: Resource[Drive] = Resource(
    name="cdrom",
    plural="cdroms",
    path=lambda it: f"vms/{it.vm.pk}/cdroms",
    id_of=lambda it: part_id(it.vm, "cdrom", "first"),
    members=(
        Group(
            "file",
            (Scalar("id", Kind.TEXT, lambda image: image, "Path of the image on the host."),),
            of=lambda it: it.image or None,
        ),
        Reference("vm", "vms", lambda it: it.vm.pk),
    ),
)

NIC: Resource[Nic] = Resource(
    name="nic",
    plural="nics",
    path=lambda it: f"vms/{it.vm.pk}/nics",
    id_of=lambda it: part_id(it.vm, "nic", it.interface.mac or str(it.number)),
    members=(
        Scalar("name", Kind.TEXT, lambda it: f"nic{it.number}"),
        Scalar(
            "interface", Kind.TEXT, lambda it: it.interface.model if it.interface.model in _NIC_INTERFACES else None
        ),
        Scalar("linked", Kind.FLAG, lambda it: True),
        Scalar("plugged", Kind.FLAG, lambda it: True),
        Scalar("network_name", Kind.TEXT, lambda it: it.interface.place or None, "Network, bridge or device."),
        Group(
            "mac",
            (Scalar("address", Kind.TEXT, lambda mac: mac),),
            of=lambda it: it.interface.mac or None,
        ),
        Reference("vm", "vms", lambda it: it.vm.pk),
    ),
)

REPORTED_DEVICE: Resource[Reported] = Resource(
    name="reported_device",
    plural="reported_devices",
    path=lambda it: f"vms/{it.vm.pk}/reporteddevices",
    id_of=lambda it: part_id(it.vm, "reported", "network"),
    members=(
        Scalar("name", Kind.TEXT, lambda it: "guest agent"),
        Scalar("description", Kind.TEXT, lambda it: "All addresses that the guest agent tells."),
        Scalar("type", Kind.TEXT, lambda it: "network"),
        Many(
            "ips",
            Group(
                "ip",
                (
                    Scalar("address", Kind.TEXT, lambda address: address),
                    Scalar("version", Kind.TEXT, lambda address: f"v{ip_address(address).version}"),
                ),
            ),
            lambda it: it.addresses,
        ),
        Reference("vm", "vms", lambda it: it.vm.pk),
    ),
)


class VmDiskAttachments(VmParts):
    """The disks of one VM, but for drives with media in them."""

    resource = DISK_ATTACHMENT

    def rows(self) -> Sequence[Attachment]:
        """Return them in the order of its definition."""
        disks = [disk for disk in self.vm.disk_list if disk.kept not in (Kept.MEDIUM, Kept.EMPTY)]
        return [Attachment(self.vm, disk, first=number == 0) for number, disk in enumerate(disks)]


class VmCdroms(VmParts):
    """The CD drive of one VM."""

    resource = CDROM

    def rows(self) -> Sequence[Drive]:
        """Return it, or nothing."""
        image = self.vm.stored.cd_image
        return [] if image is None else [Drive(self.vm, image)]


class VmNics(VmParts):
    """The network interfaces of one VM."""

    resource = NIC

    def rows(self) -> Sequence[Nic]:
        """Return them in the order of its definition."""
        lines = self.vm.stored.interfaces
        return [Nic(self.vm, number, Interface.of(line)) for number, line in enumerate(lines, 1)]


class VmReportedDevices(VmParts):
    """What the guest agent of one VM tells of its network, as it did when somebody looked last."""

    resource = REPORTED_DEVICE

    def rows(self) -> Sequence[Reported]:
        """Return it, and have the agent asked again; nothing where it has not told yet."""
        told = actions.look(self.request.user, self.vm, Glimpse.Kind.GUEST)
        addresses = () if told is None else tuple(told.facts.get("addresses", ()))
        return [Reported(self.vm, addresses)] if addresses else []

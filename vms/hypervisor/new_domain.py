"""The authority on the definition of a domain that the portal adds: as little as a guest of any system can use.

No disk and no network: what those are on a host, its admin decides. An empty CD drive, for an installer's image; a
channel for the guest agent and ACPI, by which it can be asked to shut down; a screen, which only the host itself can
reach.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from vms.domain.configuration import Configuration
from vms.hypervisor import domain_xml
from vms.hypervisor.base import ConfigurationRejected

_X86 = ("x86_64", "i686")
#: Kinds of domains in the order of preference; where a host has none of them, its first one is taken.
_KINDS = ("kvm", "qemu")


@dataclass(frozen=True, slots=True)
class Platform:
    """What a host runs guests on.

    Attributes:
        kind: Type of its domains: `kvm`, or `qemu` where processors are emulated.
        architecture: Of the guests' processors.
    """

    kind: str
    architecture: str


def platform_of(capabilities: str) -> Platform:
    """Return what a host runs its own kind of guests on best, from libvirt's XML of its capabilities.

    Raises:
        ConfigurationRejected: It runs no guests that are whole machines.
    """
    root = domain_xml.parse(capabilities)
    own = root.findtext("host/cpu/arch")
    architectures = [
        architecture
        for guest in root.iterfind("guest")
        if guest.findtext("os_type") == "hvm" and (architecture := guest.find("arch")) is not None
    ]
    architectures.sort(key=lambda architecture: architecture.get("name") != own)
    for architecture in architectures:
        kinds = [kind.get("type", "") for kind in architecture.iterfind("domain")]
        kinds.sort(key=lambda kind: _KINDS.index(kind) if kind in _KINDS else len(_KINDS))
        if kinds:
            return Platform(kinds[0], architecture.get("name", ""))
    raise ConfigurationRejected("the host runs no virtual machines of its own architecture")


def xml(uuid: str, name: str, wanted: Configuration, platform: Platform) -> str:
    """Return the definition of a new domain."""
    root = etree.Element("domain", type=platform.kind)
    _text(root, "name", name)
    _text(root, "uuid", uuid)
    if wanted.description:
        _text(root, "description", wanted.description)
    _text(root, "memory", str(wanted.memory // 1024), unit="KiB")
    _text(root, "vcpu", str(wanted.vcpus))
    system = etree.SubElement(root, "os")
    _text(system, "type", "hvm", arch=platform.architecture)
    for device in wanted.boot:
        etree.SubElement(system, "boot", dev=device)
    _features(root, platform)
    etree.SubElement(root, "clock", offset="utc")
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        _text(root, event, action)
    _devices(etree.SubElement(root, "devices"), wanted, platform)
    return etree.tostring(root, encoding="unicode")


def _features(root: etree._Element, platform: Platform) -> None:
    features = etree.SubElement(root, "features")
    etree.SubElement(features, "acpi")
    if platform.architecture in _X86:
        etree.SubElement(features, "apic")
    if platform.kind == "kvm":
        # The same as the host's, as far as it can be moved to another.
        etree.SubElement(root, "cpu", mode="host-model")


def _devices(devices: etree._Element, wanted: Configuration, platform: Platform) -> None:
    if wanted.cd_image is not None:
        _cd_drive(devices, wanted.cd_image, "sata" if platform.architecture in _X86 else "scsi")
    channel = etree.SubElement(devices, "channel", type="unix")
    etree.SubElement(channel, "target", type="virtio", name=domain_xml.AGENT_CHANNEL)
    # Where a pointer is told its place, and not its movement, the one on the console is where the guest's is.
    etree.SubElement(devices, "input", type="tablet", bus="usb")
    graphics = etree.SubElement(devices, "graphics", type="vnc", autoport="yes")
    etree.SubElement(graphics, "listen", type="address", address="127.0.0.1")


def _cd_drive(devices: etree._Element, image: str, bus: str) -> None:
    drive = etree.SubElement(devices, "disk", type="file", device="cdrom")
    if image:
        etree.SubElement(drive, "source", file=image)
    etree.SubElement(drive, "target", dev="sda", bus=bus)
    etree.SubElement(drive, "readonly")


def _text(parent: etree._Element, tag: str, text: str, **attributes: str) -> None:
    etree.SubElement(parent, tag, attributes).text = text

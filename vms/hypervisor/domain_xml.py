"""The authority on reading libvirt's domain XML, and on the portal's own marks in it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from lxml import etree

from vms.domain.configuration import Configuration
from vms.domain.disks import Disk, Kept

#: Our element in a run's live metadata. It ends with the run, outlives libvirtd, and comes back with saved memory.
RUN_NAMESPACE = "urn:vm-portal:run:1"
RUN_PREFIX = "vmportal"
#: Our element in the live metadata of a run that was not started as it is stored: how it was, and what was stored then.
START_NAMESPACE = "urn:vm-portal:start:1"
START_PREFIX = "vmportalstart"
AGENT_CHANNEL = "org.qemu.guest_agent.0"

#: libvirt's units of memory, in bytes; it answers in KiB whatever the definition was written in.
_UNITS = {
    "b": 1,
    "bytes": 1,
    "KB": 1000,
    "k": 1 << 10,
    "KiB": 1 << 10,
    "MB": 1000**2,
    "M": 1 << 20,
    "MiB": 1 << 20,
    "GB": 1000**3,
    "G": 1 << 30,
    "GiB": 1 << 30,
}


@dataclass(frozen=True, slots=True)
class DomainXml:
    """What one domain's XML says.

    Attributes:
        live: It describes a running process, not the stored definition.
        description: Free text.
        memory: Current memory, in bytes.
        vcpus: Number of virtual CPUs in use.
        run_token: Token of the run, None where there is none.
        agent_channel: A guest-agent channel is configured.
        agent_connected: The guest has opened it; in live XML only.
        acpi: The domain has ACPI.
        on_reboot: What a reset by the guest does.
        configuration: What it configures; for a run that was not started as it is stored, what was stored then.
        marked: The run was not started as it is stored, in whatever way.
        run_once: The run was started with other than the stored configuration.
        stateless: The run's disk writes are dropped when it ends.
        disks: Its disks.
    """

    live: bool
    description: str
    memory: int
    vcpus: int
    run_token: str | None
    agent_channel: bool
    agent_connected: bool
    acpi: bool
    on_reboot: str
    configuration: Configuration
    marked: bool
    run_once: bool
    stateless: bool
    disks: tuple[Disk, ...]


def parse(xml: str) -> etree._Element:
    """Return the root of a domain's XML, or of another of libvirt's."""
    return etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))


def read(xml: str) -> DomainXml:
    """Return what a domain's XML says."""
    root = parse(xml)
    start = root.find(f"metadata/{{{START_NAMESPACE}}}start")
    run = root.find(f"metadata/{{{RUN_NAMESPACE}}}run")
    agent = root.find(f"devices/channel/target[@name='{AGENT_CHANNEL}']")
    return DomainXml(
        # Only a domain with a process has a number.
        live=root.get("id") is not None,
        description=root.findtext("description", ""),
        memory=_memory(root, "currentMemory") or _memory(root, "memory"),
        vcpus=_vcpus(root),
        run_token=None if run is None else run.get("token"),
        agent_channel=agent is not None,
        agent_connected=agent is not None and agent.get("state") == "connected",
        acpi=root.find("features/acpi") is not None,
        on_reboot=root.findtext("on_reboot", "restart"),
        configuration=configuration(root) if start is None else Configuration.of(json.loads(start.get("stored", "{}"))),
        marked=start is not None,
        run_once=start is not None and start.get("once") == "yes",
        stateless=start is not None and start.get("stateless") == "yes",
        disks=disks(root),
    )


def configuration(root: etree._Element) -> Configuration:
    """Return what a domain's XML configures, leaving out what a run adds by itself."""
    drive = cd_drive(root)
    source = None if drive is None else drive.find("source")
    return Configuration(
        description=root.findtext("description", ""),
        memory=_memory(root, "memory"),
        vcpus=_vcpus(root),
        boot=_boot(root),
        cd_image=None if drive is None else "" if source is None else source.get("file", ""),
        kernel=root.findtext("os/kernel", ""),
        initrd=root.findtext("os/initrd", ""),
        command_line=root.findtext("os/cmdline", ""),
        disks=tuple(_disk_in_words(disk) for disk in root.iterfind("devices/disk") if disk is not drive),
        interfaces=tuple(_interface_in_words(interface) for interface in root.iterfind("devices/interface")),
    )


def cd_drive(root: etree._Element) -> etree._Element | None:
    """Return the first CD drive."""
    return root.find("devices/disk[@device='cdrom']")


def disk_source(disk: etree._Element) -> str:
    """Return where a disk's data is: a path, or what stands for one."""
    source = disk.find("source")
    if source is None:
        return ""
    if source.get("pool"):
        return f"{source.get('pool')}/{source.get('volume')}"
    return next((value for name in ("file", "dev", "dir", "name") if (value := source.get(name))), "")


def disks(root: etree._Element) -> tuple[Disk, ...]:
    """Return the disks, and which of them could go together with the domain."""
    return tuple(_disk(disk) for disk in root.iterfind("devices/disk"))


def sources(root: etree._Element) -> set[str]:
    """Return where the data of all disks is, with what that is based on and copied to, as far as the XML tells."""
    holders = (*root.iterfind("devices/disk"), *root.iterfind("devices/disk//backingStore"))
    mirrors = root.iterfind("devices/disk/mirror")
    return {source for holder in (*holders, *mirrors) if (source := disk_source(holder))}


def _disk(disk: etree._Element) -> Disk:
    target, source = disk.find("target"), disk_source(disk)
    if not source:
        kept = Kept.EMPTY
    elif disk.get("device", "disk") in ("cdrom", "floppy"):
        kept = Kept.MEDIUM
    elif disk.find("readonly") is not None or disk.find("shareable") is not None:
        kept = Kept.SHARED
    elif disk.get("type") in ("file", "block", "volume"):
        kept = Kept.NO
    else:
        kept = Kept.ELSEWHERE
    return Disk("" if target is None else target.get("dev", ""), source, kept)


def _memory(root: etree._Element, tag: str) -> int:
    memory = root.find(tag)
    return 0 if memory is None else int(memory.text or 0) * _UNITS[memory.get("unit", "KiB")]


def _vcpus(root: etree._Element) -> int:
    vcpu = root.find("vcpu")
    return 1 if vcpu is None else int(vcpu.get("current") or vcpu.text or 1)


def _boot(root: etree._Element) -> tuple[str, ...]:
    named = tuple(boot.get("dev", "") for boot in root.iterfind("os/boot"))
    if named:
        return named
    ordered = sorted(root.iterfind("devices/*/boot"), key=lambda boot: int(boot.get("order", 0)))
    kinds = (_kind(device) for boot in ordered if (device := boot.getparent()) is not None)
    # Two disks are one kind of device to boot from.
    return tuple(dict.fromkeys(kinds))


def _kind(device: etree._Element) -> str:
    if device.tag == "interface":
        return "network"
    if device.tag != "disk":
        return str(device.tag)
    return {"cdrom": "cdrom", "floppy": "fd"}.get(device.get("device", "disk"), "hd")


def _disk_in_words(disk: etree._Element) -> str:
    target = disk.find("target")
    name = "" if target is None else f"{target.get('dev')} ({target.get('bus', '?')})"
    return f"{name}: {disk_source(disk)}"


def _interface_in_words(interface: etree._Element) -> str:
    mac, source, model = interface.find("mac"), interface.find("source"), interface.find("model")
    where = "" if source is None else next((v for n in ("network", "bridge", "dev") if (v := source.get(n))), "")
    parts = (
        interface.get("type", ""),
        where,
        "" if model is None else model.get("type", ""),
        "" if mac is None else mac.get("address", ""),
    )
    return " ".join(part for part in parts if part)


def run_element(token: str) -> str:
    """Return our metadata element, without the namespace that libvirt puts on it."""
    element = etree.Element("run", token=token)
    return etree.tostring(element, encoding="unicode")

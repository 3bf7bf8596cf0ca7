"""The authority on changing libvirt's domain XML: the stored definition, and the edit of it that one run is started by.

Only what is asked for is touched, so that whatever else an admin has configured stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from typing import Any

from lxml import etree

from vms.domain.configuration import Part
from vms.domain.run_options import RunOptions
from vms.hypervisor import domain_xml
from vms.hypervisor.base import ConfigurationRejected, HypervisorError

#: Formats of which libvirt can make an overlay that ends with the run.
_OVERLAYABLE = ("qcow2", "raw")


def configured(stored: str, values: Mapping[Part, Any], revert: Collection[Part], running: str | None) -> str:
    """Return the stored definition with some parts changed.

    Args:
        stored: The stored definition.
        values: The new values.
        revert: Parts that are to be as in `running` again.
        running: The live XML; None when nothing runs.

    Raises:
        ConfigurationRejected: There is no CD drive to put an image into, or a part cannot be taken back.
    """
    root = domain_xml.parse(stored)
    for part, value in values.items():
        _SETTERS[part](root, value)
    if running is not None and revert:
        began = domain_xml.read(running)
        live = domain_xml.parse(running)
        for part in revert:
            if not began.marked:
                _REVERTS[part](root, live)
            elif part in _SETTERS:
                # What runs is not what was stored when it began.
                _SETTERS[part](root, began.configuration.value(part))
            else:
                raise ConfigurationRejected(
                    f"{part} cannot be taken back from here while the VM runs with other than its stored configuration"
                )
    return _text(root)


def for_run(stored: str, options: RunOptions) -> str:
    """Return the XML of one run that differs from the stored definition, marked with how and from what it differs.

    Raises:
        HypervisorError: A disk of which no overlay can be made, for a stateless run.
    """
    root = domain_xml.parse(stored)
    before = domain_xml.configuration(root)
    if options.memory is not None:
        _set_memory(root, options.memory)
    if options.vcpus is not None:
        _set_vcpus(root, options.vcpus)
    if options.cd_image is not None:
        _set_cd_image(root, options.cd_image)
    if options.boot is not None:
        _set_boot(root, (options.boot, *(device for device in before.boot if device != options.boot)))
    if options.kernel:
        for tag, value in (
            ("kernel", options.kernel),
            ("initrd", options.initrd),
            ("cmdline", options.command_line),
        ):
            _set_text(_os(root), tag, value)
    if options.stateless:
        _make_disks_transient(root)
    start = etree.SubElement(
        _metadata(root),
        f"{{{domain_xml.START_NAMESPACE}}}start",
        nsmap={domain_xml.START_PREFIX: domain_xml.START_NAMESPACE},
    )
    start.set("stored", json.dumps(before.as_json()))
    if options.overrides:
        start.set("once", "yes")
    if options.stateless:
        start.set("stateless", "yes")
    return _text(root)


def overlays(stored: str) -> list[str]:
    """Return where libvirt puts the overlays of a stateless run of this domain."""
    root = domain_xml.parse(stored)
    name = root.findtext("name", "")
    return [f"{domain_xml.disk_source(disk)}.TRANSIENT-{name}" for disk in _written_disks(root)]


def _written_disks(root: etree._Element) -> list[etree._Element]:
    """Return the disks that a run writes to and no other machine shares."""
    return [
        disk
        for disk in root.iterfind("devices/disk")
        if disk.get("device", "disk") == "disk" and disk.find("readonly") is None and disk.find("shareable") is None
    ]


def _make_disks_transient(root: etree._Element) -> None:
    for disk in _written_disks(root):
        driver = disk.find("driver")
        kind = "raw" if driver is None else driver.get("type", "raw")
        if disk.get("type") != "file" or kind not in _OVERLAYABLE:
            target = disk.find("target")
            name = "" if target is None else target.get("dev")
            raise HypervisorError(
                f"disk {name} cannot be stateless: only disks in qcow2 or raw files can, and this one is "
                f"{kind} on a {disk.get('type')}"
            )
        if disk.find("transient") is None:
            etree.SubElement(disk, "transient")


# Setters of single parts.


def _set_description(root: etree._Element, text: str) -> None:
    _set_text(root, "description", text)


def _set_memory(root: etree._Element, value: int) -> None:
    for tag in ("memory", "currentMemory"):
        _set_text(root, tag, str(value // 1024)).set("unit", "KiB")


def _set_vcpus(root: etree._Element, value: int) -> None:
    vcpu = _set_text(root, "vcpu", str(value))
    # What was said of single CPUs, or of their arrangement, was said of another number of them.
    vcpu.attrib.pop("current", "")
    for path in ("vcpus", "cpu/topology"):
        for element in root.findall(path):
            _remove(element)


def _set_boot(root: etree._Element, devices: tuple[str, ...]) -> None:
    for boot in [*root.iterfind("os/boot"), *root.iterfind("devices/*/boot")]:
        _remove(boot)
    for device in devices:
        etree.SubElement(_os(root), "boot", dev=device)


def _set_cd_image(root: etree._Element, path: str) -> None:
    drive = domain_xml.cd_drive(root)
    if drive is None:
        raise ConfigurationRejected("the VM has no CD drive")
    for source in drive.findall("source"):
        drive.remove(source)
    if path:
        drive.set("type", "file")
        etree.SubElement(drive, "source", file=path)


_SETTERS: dict[Part, Callable[[etree._Element, Any], None]] = {
    Part.DESCRIPTION: _set_description,
    Part.MEMORY: _set_memory,
    Part.VCPUS: _set_vcpus,
    Part.BOOT: _set_boot,
    Part.CD_IMAGE: _set_cd_image,
}


# Reverts: elements of the running process in place of the stored ones.


def _copy_elements(*paths: str) -> Callable[[etree._Element, etree._Element], None]:
    def revert(stored: etree._Element, live: etree._Element) -> None:
        for path in paths:
            _replace(stored, path, live.findall(path))

    return revert


def _replace(stored: etree._Element, path: str, wanted: list[etree._Element]) -> None:
    for element in stored.findall(path):
        _remove(element)
    for element in wanted:
        _append(stored, path, element)


def _append(stored: etree._Element, path: str, element: etree._Element) -> None:
    parent = stored if "/" not in path else stored.find(path.rpartition("/")[0])
    copied = deepcopy(element)
    # What a run adds by itself: names for its monitor, and the chain of its images.
    for extra in ("alias", "backingStore"):
        for found in copied.findall(extra):
            copied.remove(found)
    if parent is not None:
        parent.append(copied)


def _revert_boot(stored: etree._Element, live: etree._Element) -> None:
    _set_boot(stored, domain_xml.configuration(live).boot)


def _revert_cd_image(stored: etree._Element, live: etree._Element) -> None:
    before = domain_xml.configuration(live).cd_image
    drive, live_drive = domain_xml.cd_drive(stored), domain_xml.cd_drive(live)
    if drive is not None and before is not None:
        _set_cd_image(stored, before)
    elif drive is not None:
        _remove(drive)
    elif live_drive is not None:
        _append(stored, "devices/disk", live_drive)


def _revert_disks(stored: etree._Element, live: etree._Element) -> None:
    drive, live_drive = domain_xml.cd_drive(stored), domain_xml.cd_drive(live)
    for disk in stored.findall("devices/disk"):
        if disk is not drive:
            _remove(disk)
    for disk in live.findall("devices/disk"):
        if disk is not live_drive:
            _append(stored, "devices/disk", disk)


_REVERTS: dict[Part, Callable[[etree._Element, etree._Element], None]] = {
    Part.DESCRIPTION: _copy_elements("description"),
    Part.MEMORY: _copy_elements("memory", "currentMemory"),
    Part.VCPUS: _copy_elements("vcpu", "vcpus", "cpu/topology"),
    Part.BOOT: _revert_boot,
    Part.CD_IMAGE: _revert_cd_image,
    Part.KERNEL: _copy_elements("os/kernel"),
    Part.INITRD: _copy_elements("os/initrd"),
    Part.COMMAND_LINE: _copy_elements("os/cmdline"),
    Part.DISKS: _revert_disks,
    Part.INTERFACES: _copy_elements("devices/interface"),
}


def _remove(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _set_text(parent: etree._Element, tag: str, text: str) -> etree._Element:
    element = parent.find(tag)
    if element is None:
        element = etree.SubElement(parent, tag)
    element.text = text
    if not text:
        parent.remove(element)
    return element


def _os(root: etree._Element) -> etree._Element:
    found = root.find("os")
    return etree.SubElement(root, "os") if found is None else found


def _metadata(root: etree._Element) -> etree._Element:
    found = root.find("metadata")
    return etree.SubElement(root, "metadata") if found is None else found


def _text(root: etree._Element) -> str:
    return etree.tostring(root, encoding="unicode")

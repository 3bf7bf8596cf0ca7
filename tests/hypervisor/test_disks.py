"""Stateless runs and CD drives on real QEMU with real disks: what is written, what is dropped, what is left over."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import libvirt
import libvirt_qemu
import pytest

from tests.hypervisor.rigs import QemuRig
from tests.support.libvirtd import PrivateLibvirtd
from tests.support.waiting import wait_until
from vms.demo.guests import EmulatorType
from vms.demo.image import GuestImage
from vms.domain.configuration import BootDevice, Change, Part, pending
from vms.domain.run_options import RunOptions
from vms.hypervisor.base import HypervisorError

pytestmark = pytest.mark.guest

STATELESS = RunOptions(stateless=True)
PATTERN = "0xab"


@pytest.fixture
def rig(libvirtd: PrivateLibvirtd, guest_image: GuestImage, emulator_type: EmulatorType) -> Iterator[QemuRig]:
    made = QemuRig(libvirtd, guest_image, emulator_type)
    yield made
    made.close()


@pytest.fixture
def disk(libvirtd: PrivateLibvirtd) -> Iterator[Path]:
    """A qcow2 image where the host's QEMU can write."""
    directory = libvirtd.directory / "images" / "disks"
    directory.mkdir()
    directory.chmod(0o777)
    path = directory / "state.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    path.chmod(0o666)
    yield path
    subprocess.run(["rm", "-r", directory], check=True)


def with_disk(rig: QemuRig, path: Path) -> str:
    """Return a domain that has this disk and an empty CD drive."""
    domain = rig.define("acpi")
    xml = rig.libvirt.lookupByUUIDString(domain).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    devices = f"""<disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="{path}"/>
        <target dev="vda" bus="virtio"/></disk>
        <disk type="file" device="cdrom"><target dev="hda" bus="ide"/><readonly/></disk></devices>"""
    rig.libvirt.defineXML(xml.replace("</devices>", devices))
    return domain


def files(disk: Path) -> set[str]:
    return {path.name for path in disk.parent.iterdir()}


def write(rig: QemuRig, domain: str) -> None:
    """Have the running QEMU write to the disk, as its guest would."""
    found = rig.libvirt.lookupByUUIDString(domain)
    blocks = json.loads(libvirt_qemu.qemuMonitorCommand(found, '{"execute": "query-block"}', 0))["return"]
    device = next(block["qdev"] for block in blocks if "virtio" in block["qdev"])
    order = f'qemu-io -d {device} "write -P {PATTERN} 0 512"'
    said = libvirt_qemu.qemuMonitorCommand(found, order, libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
    assert "rror" not in said
    libvirt_qemu.qemuMonitorCommand(
        found, f'qemu-io -d {device} "flush"', libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
    )


def written(image: Path) -> bool:
    """Say whether an image holds what was written, also one that a QEMU has open."""
    command = ["qemu-io", "-U", "-r", "-f", "qcow2", "-c", f"read -P {PATTERN} 0 512", str(image)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert "read 512/512" in said
    return "Pattern verification failed" not in said


@pytest.mark.behaviour(14)
def test_what_a_stateless_run_writes_is_gone_with_it_and_nothing_is_left(rig: QemuRig, disk: Path) -> None:
    domain, before = with_disk(rig, disk), files(disk)
    for _run in range(2):
        rig.hypervisor.start(domain, STATELESS)
        found = rig.hypervisor.observe(domain)
        assert (found.seen.stateless, found.seen.run_once, found.seen.persistent) == (True, False, True)
        assert pending(found.running, found.stored) == ()
        (overlay,) = files(disk) - before
        assert not written(disk.with_name(overlay)), "it is fresh"
        write(rig, domain)
        assert written(disk.with_name(overlay))
        rig.hypervisor.destroy(domain, None)
        wait_until(lambda: files(disk) == before, "no overlay is left", 10)
    assert not written(disk)
    rig.hypervisor.start(domain)
    assert not rig.hypervisor.observe(domain).seen.stateless


@pytest.mark.behaviour(14)
def test_a_run_that_is_not_stateless_keeps_what_it_writes(rig: QemuRig, disk: Path) -> None:
    domain = with_disk(rig, disk)
    rig.hypervisor.start(domain)
    write(rig, domain)
    rig.hypervisor.destroy(domain, None)
    assert written(disk)


@pytest.mark.behaviour(14)
def test_an_overlay_that_a_crash_has_left_is_removed(rig: QemuRig, disk: Path) -> None:
    domain, before = with_disk(rig, disk), files(disk)
    name = rig.hypervisor.observe(domain).name
    leftover = disk.with_name(f"{disk.name}.TRANSIENT-{name}")
    leftover.write_bytes(b"left over")
    leftover.chmod(0o666)
    rig.hypervisor.start(domain, STATELESS)
    assert files(disk) - before == {leftover.name}
    assert leftover.stat().st_size > len(b"left over"), "a fresh one"
    rig.hypervisor.destroy(domain, None)
    wait_until(lambda: files(disk) == before, "no overlay is left", 10)


@pytest.mark.behaviour(14)
def test_a_run_with_stateless_disks_cannot_be_saved(rig: QemuRig, disk: Path) -> None:
    domain = with_disk(rig, disk)
    rig.hypervisor.start(domain, STATELESS)
    with pytest.raises(HypervisorError):
        rig.hypervisor.save(domain)


@pytest.mark.behaviour(11)
def test_an_image_waits_for_the_next_run_and_is_taken_back(rig: QemuRig, disk: Path) -> None:
    domain = with_disk(rig, disk)
    image = disk.with_name("rescue.iso")
    image.write_bytes(b"\0" * 4096)
    image.chmod(0o644)
    rig.hypervisor.start(domain)
    rig.hypervisor.configure(domain, {Part.CD_IMAGE: str(image)})
    found = rig.hypervisor.observe(domain)
    assert pending(found.running, found.stored) == (Change(Part.CD_IMAGE, "", str(image)),)
    rig.hypervisor.configure(domain, {}, [Part.CD_IMAGE])
    found = rig.hypervisor.observe(domain)
    assert pending(found.running, found.stored) == ()


@pytest.mark.behaviour(11)
def test_a_disk_added_with_virsh_waits_and_is_taken_back(rig: QemuRig, disk: Path) -> None:
    domain = with_disk(rig, disk)
    rig.hypervisor.start(domain)
    found = rig.libvirt.lookupByUUIDString(domain)
    second = disk.with_name("second.qcow2")
    xml = f"""<disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="{second}"/>
        <target dev="vdb" bus="virtio"/></disk>"""
    found.attachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    seen = rig.hypervisor.observe(domain)
    (change,) = pending(seen.running, seen.stored)
    assert change.part is Part.DISKS
    assert str(second) in "".join(change.next)
    rig.hypervisor.configure(domain, {}, [Part.DISKS])
    seen = rig.hypervisor.observe(domain)
    assert pending(seen.running, seen.stored) == ()


@pytest.mark.behaviour(13)
def test_a_run_once_with_an_image_and_another_boot_device(rig: QemuRig, disk: Path) -> None:
    domain = with_disk(rig, disk)
    image = disk.with_name("rescue.iso")
    image.write_bytes(b"\0" * 4096)
    image.chmod(0o644)
    rig.hypervisor.start(domain, RunOptions(boot=BootDevice.CD, cd_image=str(image), command_line="", stateless=True))
    live = rig.libvirt.lookupByUUIDString(domain).XMLDesc()
    assert str(image) in live
    assert live.index('<boot dev="cdrom"'.replace('"', "'")) > 0
    found = rig.hypervisor.observe(domain)
    assert (found.seen.run_once, found.seen.stateless, pending(found.running, found.stored)) == (True, True, ())
    rig.hypervisor.destroy(domain, None)
    rig.hypervisor.start(domain)
    assert str(image) not in rig.libvirt.lookupByUUIDString(domain).XMLDesc()

"""Removing domains and their disks: the contract of every driver, and what only real QEMU has."""

from __future__ import annotations

import uuid
from pathlib import Path

import libvirt
import pytest

from tests.hypervisor.rigs import QemuRig, Rig, make_image, running, wait_down
from tests.hypervisor.test_contract import contract, host, rig  # noqa: F401  (fixtures)
from vms.domain.disks import Disk, Kept
from vms.hypervisor.base import Capability, DomainNotFound, HypervisorError


@contract()
def test_tells_which_disks_there_are_and_which_may_go(rig: Rig) -> None:  # noqa: F811
    mine, shared = rig.make_disk("mine"), rig.make_disk("shared")
    domain = rig.define_with(mine, shared=shared)
    disks = {disk.source: disk for disk in rig.hypervisor.observe(domain).disks}
    assert (disks[mine].target, disks[mine].kept) == ("vda", Kept.NO)
    assert disks[shared].kept is Kept.SHARED
    listed = next(found for found in rig.hypervisor.domains() if found.uuid == domain)
    assert listed.disks == rig.hypervisor.observe(domain).disks


@contract()
def test_removes_a_domain_and_touches_no_disk(rig: Rig) -> None:  # noqa: F811
    disk = rig.make_disk("disk")
    domain = rig.define_with(disk)
    rig.hypervisor.undefine(domain)
    with pytest.raises(DomainNotFound):
        rig.hypervisor.observe(domain)
    with pytest.raises(DomainNotFound):
        rig.hypervisor.undefine(domain)
    assert rig.has_disk(disk)


@contract()
def test_removes_no_domain_that_runs(rig: Rig) -> None:  # noqa: F811
    domain = running(rig, "acpi")
    with pytest.raises(HypervisorError, match="is running"):
        rig.hypervisor.undefine(domain)
    assert rig.hypervisor.observe(domain).seen.persistent


@contract(Capability.SAVE)
def test_saved_memory_goes_with_its_domain(rig: Rig) -> None:  # noqa: F811
    domain = running(rig, "acpi")
    rig.hypervisor.save(domain)
    assert wait_down(rig.hypervisor, domain).managed_save
    rig.hypervisor.undefine(domain)
    with pytest.raises(DomainNotFound):
        rig.hypervisor.observe(domain)


@contract()
def test_removes_a_disk_and_has_nothing_to_do_the_second_time(rig: Rig) -> None:  # noqa: F811
    disk, other = rig.make_disk("disk"), rig.make_disk("other")
    domain = rig.define_with(disk, other)
    rig.hypervisor.undefine(domain)
    rig.hypervisor.remove_disk(domain, disk)
    assert not rig.has_disk(disk)
    rig.hypervisor.remove_disk(domain, disk)
    assert rig.has_disk(other)


@contract()
def test_removes_no_disk_of_a_domain_that_is_defined(rig: Rig) -> None:  # noqa: F811
    disk, loose = rig.make_disk("disk"), rig.make_disk("loose")
    domain = rig.define_with(disk)
    for source in (disk, loose):
        with pytest.raises(HypervisorError, match="is defined again"):
            rig.hypervisor.remove_disk(domain, source)
        assert rig.has_disk(source)


@contract()
def test_removes_no_disk_that_another_domain_has(rig: Rig) -> None:  # noqa: F811
    disk = rig.make_disk("disk")
    domain, other = rig.define_with(disk), rig.define_with(disk)
    rig.hypervisor.undefine(domain)
    with pytest.raises(HypervisorError, match=f"is used by {rig.hypervisor.observe(other).name}"):
        rig.hypervisor.remove_disk(domain, disk)
    assert rig.has_disk(disk)


@contract()
def test_removes_no_disk_that_another_image_is_based_on(rig: Rig) -> None:  # noqa: F811
    base = rig.make_disk("base")
    overlay = rig.make_disk("overlay", base)
    domain = rig.define_with(base)
    rig.define_with(overlay)
    rig.hypervisor.undefine(domain)
    with pytest.raises(HypervisorError, match="overlay"):
        rig.hypervisor.remove_disk(domain, base)
    assert rig.has_disk(base)


# Real QEMU


@pytest.fixture
def qemu(rig: Rig) -> QemuRig:  # noqa: F811
    assert isinstance(rig, QemuRig)
    return rig


only_qemu = pytest.mark.parametrize("host", [pytest.param("qemu", marks=pytest.mark.guest)], indirect=True)


@only_qemu
def test_a_disk_at_the_end_of_a_chain_of_another_directory_is_kept(qemu: QemuRig) -> None:
    base = qemu.make_disk("base")
    elsewhere = Path(base).parent.parent / f"chain-{uuid.uuid4().hex}"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    try:
        middle = make_image(elsewhere / "middle", base)
        top = make_image(elsewhere / "top", middle)
        domain = qemu.define_with(base)
        qemu.define_with(top)
        qemu.hypervisor.undefine(domain)
        with pytest.raises(HypervisorError, match=r"backing file of .*middle"):
            qemu.hypervisor.remove_disk(domain, base)
        assert Path(base).exists()
    finally:
        for path in elsewhere.iterdir():
            path.unlink()
        elsewhere.rmdir()


@only_qemu
def test_no_pool_is_left_behind_also_not_by_a_crash(qemu: QemuRig) -> None:
    disk = qemu.make_disk("disk")
    domain = qemu.define_with(disk)
    qemu.hypervisor.undefine(domain)
    left = f"<pool type='dir'><name>vm-portal-left</name><target><path>{Path(disk).parent}</path></target></pool>"
    qemu.libvirt.storagePoolCreateXML(left)
    qemu.hypervisor.remove_disk(domain, disk)
    assert not Path(disk).exists()
    assert qemu.libvirt.listAllStoragePools() == []


@only_qemu
def test_a_disk_of_a_pool_is_removed_from_it_and_the_pool_stays(qemu: QemuRig) -> None:
    disk = qemu.make_disk("disk")
    pool = qemu.libvirt.storagePoolCreateXML(
        f"<pool type='dir'><name>images</name><target><path>{Path(disk).parent}</path></target></pool>"
    )
    try:
        qemu.hypervisor.remove_disk(str(uuid.uuid4()), "images/disk")
        assert not Path(disk).exists()
        qemu.hypervisor.remove_disk(str(uuid.uuid4()), "images/disk")
        assert pool.isActive()
        with pytest.raises(HypervisorError, match="no storage pool"):
            qemu.hypervisor.remove_disk(str(uuid.uuid4()), "nowhere/disk")
    finally:
        pool.destroy()


@only_qemu
def test_a_block_device_without_a_pool_is_named_with_what_to_do(qemu: QemuRig) -> None:
    with pytest.raises(HypervisorError, match=r"/dev/vg/data is a block device .* Remove it by hand"):
        qemu.hypervisor.remove_disk(str(uuid.uuid4()), "/dev/vg/data")


@only_qemu
def test_a_domain_whose_disk_lies_in_a_directory_that_is_gone_is_in_nobodys_way(qemu: QemuRig) -> None:
    disk = qemu.make_disk("disk")
    qemu.define_with("/no/such/directory/image")
    qemu.hypervisor.remove_disk(str(uuid.uuid4()), disk)
    assert not Path(disk).exists()


@only_qemu
def test_snapshot_records_go_with_their_domain(qemu: QemuRig) -> None:
    domain = qemu.define_with(qemu.make_disk("disk"))
    found = qemu.libvirt.lookupByUUIDString(domain)
    found.snapshotCreateXML("<domainsnapshot><name>before</name></domainsnapshot>")
    with pytest.raises(libvirt.libvirtError):
        found.undefine()
    qemu.hypervisor.undefine(domain)
    with pytest.raises(DomainNotFound):
        qemu.hypervisor.observe(domain)


@only_qemu
def test_firmware_variables_go_with_their_domain(qemu: QemuRig) -> None:
    domain = qemu.define_with()
    xml = qemu.libvirt.lookupByUUIDString(domain).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    variables = Path(qemu.make_disk("variables.fd"))
    loader = f"<loader readonly='yes' type='pflash'>{variables.parent}/code.fd</loader><nvram>{variables}</nvram>"
    qemu.libvirt.defineXML(xml.replace("</os>", f"{loader}</os>"))
    qemu.hypervisor.undefine(domain)
    assert not variables.exists()


@only_qemu
def test_disks_are_read_from_real_definitions(qemu: QemuRig) -> None:
    domain = qemu.define_with()
    xml = qemu.libvirt.lookupByUUIDString(domain).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    devices = """<disk type="file" device="cdrom"><source file="/iso/debian.iso"/><target dev="hda" bus="ide"/>
          <readonly/></disk>
        <disk type="file" device="cdrom"><target dev="hdb" bus="ide"/><readonly/></disk>
        <disk type="volume" device="disk"><source pool="images" volume="data"/><target dev="vda" bus="virtio"/></disk>
        <disk type="block" device="disk"><source dev="/dev/vg/data"/><target dev="vdb" bus="virtio"/></disk>
        <disk type="network" device="disk"><source protocol="rbd" name="pool/image"><host name="ceph"/></source>
          <target dev="vdc" bus="virtio"/></disk></devices>"""
    qemu.libvirt.defineXML(xml.replace("</devices>", devices))
    assert set(qemu.hypervisor.observe(domain).disks) == {
        Disk("hda", "/iso/debian.iso", Kept.MEDIUM),
        Disk("hdb", "", Kept.EMPTY),
        Disk("vda", "images/data"),
        Disk("vdb", "/dev/vg/data"),
        Disk("vdc", "pool/image", Kept.ELSEWHERE),
    }

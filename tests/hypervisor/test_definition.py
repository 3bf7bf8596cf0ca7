"""Edits of libvirt's domain XML that no driver's contract shows."""

from __future__ import annotations

import pytest

from vms.domain.configuration import MIB, Part
from vms.domain.run_options import RunOptions
from vms.hypervisor import definition, domain_xml
from vms.hypervisor.base import HypervisorError

STORED = """
<domain type="kvm">
  <name>web01</name>
  <memory unit="MiB">1024</memory>
  <currentMemory unit="MiB">512</currentMemory>
  <vcpu current="1">4</vcpu>
  <cpu mode="host-model"><topology sockets="1" cores="4" threads="1"/></cpu>
  <os><type>hvm</type></os>
  <devices>
    <disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="/a.qcow2"/>
      <target dev="vda" bus="virtio"/><boot order="2"/></disk>
    <disk type="file" device="disk"><source file="/shared.img"/><target dev="vdb" bus="virtio"/><shareable/></disk>
    <disk type="file" device="cdrom"><target dev="sda" bus="sata"/><readonly/></disk>
    <interface type="network"><mac address="52:54:00:00:00:01"/><source network="default"/><model type="virtio"/>
      <boot order="1"/></interface>
  </devices>
</domain>
"""


def test_a_definition_is_read_in_parts() -> None:
    read = domain_xml.read(STORED).configuration
    assert (read.memory, read.vcpus, read.boot, read.cd_image) == (1024 * MIB, 1, ("network", "hd"), "")
    assert read.disks == ("vda (virtio): /a.qcow2", "vdb (virtio): /shared.img")
    assert read.interfaces == ("network default virtio 52:54:00:00:00:01",)


def test_a_number_of_cpus_goes_with_no_arrangement_of_another_number() -> None:
    edited = definition.configured(STORED, {Part.VCPUS: 3}, (), None)
    assert "topology" not in edited
    assert domain_xml.read(edited).vcpus == 3


def test_an_order_of_devices_replaces_the_one_said_at_each() -> None:
    edited = definition.configured(STORED, {Part.BOOT: ("cdrom", "hd")}, (), None)
    assert domain_xml.read(edited).configuration.boot == ("cdrom", "hd")
    assert "order=" not in edited


def test_nothing_else_is_touched() -> None:
    edited = definition.configured(STORED, {Part.MEMORY: 2048 * MIB}, (), None)
    before, after = domain_xml.read(STORED).configuration, domain_xml.read(edited).configuration
    assert after.memory == 2048 * MIB
    assert (after.disks, after.interfaces, after.boot, after.vcpus) == (
        before.disks,
        before.interfaces,
        before.boot,
        before.vcpus,
    )
    assert "host-model" in edited


def test_only_disks_of_its_own_that_it_writes_are_stateless() -> None:
    edited = definition.for_run(STORED, RunOptions(stateless=True))
    assert edited.count("<transient") == 1
    assert definition.overlays(STORED) == ["/a.qcow2.TRANSIENT-web01"]


def test_a_disk_that_cannot_be_stateless_is_named() -> None:
    with pytest.raises(HypervisorError, match="disk vda cannot be stateless"):
        definition.for_run(STORED.replace('type="qcow2"', 'type="vmdk"'), RunOptions(stateless=True))


def test_a_kernel_for_once_brings_its_initial_disk_and_command_line() -> None:
    edited = definition.for_run(STORED, RunOptions(kernel="/vmlinuz", command_line="a & b"))
    read = domain_xml.parse(edited)
    assert read.findtext("os/kernel") == "/vmlinuz"
    assert read.findtext("os/cmdline") == "a & b"
    assert read.find("os/initrd") is None
    marked = domain_xml.read(edited)
    assert (marked.run_once, marked.stateless) == (True, False)
    assert marked.configuration == domain_xml.read(STORED).configuration

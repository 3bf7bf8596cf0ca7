"""What a fake host tells of a domain besides its state: its definition as XML, and what its guest's agent says."""

from __future__ import annotations

import hashlib
from typing import Any

from lxml import etree

from vms.hypervisor.base import AgentUnavailable
from vms.hypervisor.fake.machine import Machine
from vms.hypervisor.fake.temper import ANSWER_LIMIT, Agent


def of(machine: Machine) -> str:
    """Return a domain's stored definition, in the words of libvirt's XML."""
    root = etree.Element("domain", type="fake")
    for name, value in (
        ("name", machine.name),
        ("uuid", machine.uuid),
        ("description", machine.description),
        ("memory", str(machine.memory // 1024)),
        ("vcpu", str(machine.vcpus)),
    ):
        etree.SubElement(root, name).text = value
    system = etree.SubElement(root, "os")
    for device in machine.boot:
        etree.SubElement(system, "boot", dev=device)
    etree.SubElement(root, "on_reboot").text = machine.on_reboot
    etree.SubElement(root, "on_crash").text = machine.on_crash
    devices = etree.SubElement(root, "devices")
    for disk in machine.disks:
        etree.SubElement(etree.SubElement(devices, "disk", type="file"), "source", file=disk["source"])
    text: str = etree.tostring(root, pretty_print=True, encoding="unicode")
    return text


def guest(machine: Machine) -> dict[str, Any]:
    """Return what a guest's agent tells of it: addresses from the ranges that are kept for documentation.

    Raises:
        AgentUnavailable: It is not connected, or refuses.
    """
    run, temper = machine.run, machine.temper
    if run is None or not run.agent_connected:
        raise AgentUnavailable("Guest agent is not responding: QEMU guest agent is not connected")
    if temper.agent is Agent.REFUSES:
        raise AgentUnavailable("internal error: unable to execute QEMU agent command 'guest-get-osinfo'")
    if temper.agent_answers > ANSWER_LIMIT:
        raise AgentUnavailable(f"the guest agent did not answer within {ANSWER_LIMIT:g} s")
    number = hashlib.sha256(machine.uuid.encode()).digest()[0]
    return {"system": "Fake Linux 1.0", "addresses": [f"192.0.2.{number}", f"2001:db8::{number:x}"]}

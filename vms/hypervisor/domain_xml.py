"""The authority on libvirt's domain XML, as far as the portal reads and writes it."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

#: Our element in a run's live metadata. It ends with the run, outlives libvirtd, and comes back with saved memory.
RUN_NAMESPACE = "urn:vm-portal:run:1"
RUN_PREFIX = "vmportal"
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


def read(xml: str) -> DomainXml:
    """Return what a domain's XML says."""
    root = etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))
    memory = root.find("currentMemory")
    if memory is None:
        memory = root.find("memory")
    vcpu = root.find("vcpu")
    run = root.find(f"metadata/{{{RUN_NAMESPACE}}}run")
    agent = root.find(f"devices/channel/target[@name='{AGENT_CHANNEL}']")
    return DomainXml(
        # Only a domain with a process has a number.
        live=root.get("id") is not None,
        description=root.findtext("description", ""),
        memory=0 if memory is None else int(memory.text or 0) * _UNITS[memory.get("unit", "KiB")],
        vcpus=1 if vcpu is None else int(vcpu.get("current") or vcpu.text or 1),
        run_token=None if run is None else run.get("token"),
        agent_channel=agent is not None,
        agent_connected=agent is not None and agent.get("state") == "connected",
        acpi=root.find("features/acpi") is not None,
        on_reboot=root.findtext("on_reboot", "restart"),
    )


def run_element(token: str) -> str:
    """Return our metadata element, without the namespace that libvirt puts on it."""
    element = etree.Element("run", token=token)
    return etree.tostring(element, encoding="unicode")

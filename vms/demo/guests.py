"""The authority on which demo guests exist, what each does when asked to go down, and its libvirt definition.

A guest's temper is a set of independent traits that the guest reads from its kernel command line (`guest/init` lists
them); a new temper is a new combination, or a new field here and a line in the guest's scripts.
"""

import uuid
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from vms.demo.image import GuestImage

MARKER_NAMESPACE = "urn:vm-portal:demo:1"
AGENT_CHANNEL = "org.qemu.guest_agent.0"
DEFAULT_PREFIX = "demo-"
DEFAULT_MEMORY_MIB = 128

EmulatorType = Literal["kvm", "qemu"]
_UUID_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, MARKER_NAMESPACE)


@dataclass(frozen=True)
class Temper:
    """How a guest behaves. Every field is one `portal.FIELD=value` on the kernel command line."""

    agent: Literal["on", "ignore", "drop", "off"] = "on"
    """Guest agent: does as it is asked; is connected and accepts requests but does nothing; does nothing either, and
    goes away with the first request; does not run."""
    answers: int = 0
    """Seconds until the agent answers anything."""
    acpi: Literal["obey", "ignore"] = "obey"
    deaf: int = 0
    """So many presses of the power button are lost before it hears one."""
    halt: Literal["obey", "reboot", "panic", "ignore"] = "obey"
    """What it does when asked to shut down."""
    reboot: Literal["obey", "halt", "ignore"] = "obey"
    """What it does when asked to reboot."""
    slow: int = 0
    """Seconds from the first request until it acts; requests repeated meanwhile change nothing."""
    boot: Literal["ok", "hang", "panic"] = "ok"
    """How its boot ends; a guest that hangs or panics never says that it is ready."""

    def kernel_arguments(self) -> str:
        return " ".join(f"portal.{field.name}={getattr(self, field.name)}" for field in fields(self))


@dataclass(frozen=True)
class DemoGuest:
    """One demo guest; its domain is called prefix + name."""

    name: str
    description: str
    temper: Temper
    agent_channel: bool = True
    """Whether the machine has a guest agent channel at all."""


DEMO_GUESTS: dict[str, DemoGuest] = {
    guest.name: guest
    for guest in (
        DemoGuest("obedient", "Goes down at once, asked by the guest agent or by the power button.", Temper()),
        DemoGuest("acpi", "Has no guest agent; obeys the power button.", Temper(agent="off"), agent_channel=False),
        DemoGuest("slow", "Goes down 20 seconds after it was first asked, whoever asked.", Temper(slow=20)),
        DemoGuest(
            "stubborn",
            "Its guest agent is connected, but it ignores every request to shut down and the power button too.",
            Temper(agent="ignore", acpi="ignore"),
        ),
    )
}


def instance_id(home: Path) -> str:
    """The id of the portal instance that keeps its data in `home`; the same for the same directory."""
    return uuid.uuid5(_UUID_NAMESPACE, str(home.resolve())).hex[:12]


def guest_uuid(instance: str, name: str) -> uuid.UUID:
    """The UUID of a demo guest; the same for the same instance and name."""
    return uuid.uuid5(_UUID_NAMESPACE, f"{instance}/{name}")


def domain_xml(
    guest: DemoGuest,
    image: GuestImage,
    *,
    uuid: uuid.UUID | str,
    emulator_type: EmulatorType,
    instance: str = "",
    memory_mib: int = DEFAULT_MEMORY_MIB,
    prefix: str = DEFAULT_PREFIX,
    serial_log: Path | None = None,
    on_reboot: Literal["restart", "destroy"] = "restart",
    on_crash: Literal["destroy", "preserve"] = "destroy",
) -> str:
    """The guest's libvirt domain definition: no network, no disk, a screen, and an agent channel if it has one.

    `instance` marks the domain as made by that portal instance. With `serial_log` what the guest prints is appended to
    that file by QEMU (which must be able to write there); otherwise `virsh console` shows it.
    """
    name = f"{prefix}{guest.name}"
    arguments = f"console=tty0 console=ttyS0 quiet panic=-1 portal.name={name} {guest.temper.kernel_arguments()}"
    serial = "<serial type='pty'/>"
    if serial_log is not None:
        serial = f"<serial type='file'><source path={quoteattr(str(serial_log))} append='on'/></serial>"
    channel = ""
    if guest.agent_channel:
        channel = f"<channel type='unix'><source mode='bind'/><target type='virtio' name='{AGENT_CHANNEL}'/></channel>"
    return f"""\
<domain type='{emulator_type}'>
  <name>{escape(name)}</name>
  <uuid>{uuid}</uuid>
  <title>Demo guest {escape(name)}</title>
  <description>{escape(guest.description)}</description>
  <metadata>
    <portal:demo xmlns:portal='{MARKER_NAMESPACE}' instance={quoteattr(instance)} guest={quoteattr(guest.name)}/>
  </metadata>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{escape(str(image.kernel))}</kernel>
    <initrd>{escape(str(image.initrd))}</initrd>
    <cmdline>{escape(arguments)}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>{on_reboot}</on_reboot>
  <on_crash>{on_crash}</on_crash>
  <devices>
    <controller type='usb' model='none'/>
    {serial}
    {channel}
    <graphics type='vnc' autoport='yes'><listen type='address' address='127.0.0.1'/></graphics>
    <video><model type='vga'/></video>
    <panic model='isa'/>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def marker_instance(domain_definition: str) -> str | None:
    """The instance that made this domain as a demo guest, or None if it is no demo guest."""
    marker = etree.fromstring(domain_definition).find(f"metadata/{{{MARKER_NAMESPACE}}}demo")
    return None if marker is None else marker.get("instance")

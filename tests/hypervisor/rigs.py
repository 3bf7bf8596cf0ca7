"""The authority on what the contract suite runs against: a host of each kind, and hands that reach past the driver."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal, Protocol

import libvirt

from tests.support.fake import FakeDaemon
from tests.support.libvirtd import PrivateLibvirtd
from tests.support.waiting import wait_until
from vms.demo import guests as demo
from vms.demo.image import GuestImage
from vms.domain.disks import Disk, Kept
from vms.domain.observation import DomainState, Observation
from vms.hypervisor import connections
from vms.hypervisor.base import Capability, Domain, DomainNotFound, Hypervisor
from vms.hypervisor.fake import Agent, Reaction, Temper

ALL = Capability.AGENT | Capability.DISOBEDIENCE | Capability.SAVE | Capability.SCREENSHOT | Capability.RESET_ENDS_RUN
#: What each driver must declare, which selects its cases.
CAPABILITIES = {"fake": ALL, "test": Capability.SAVE | Capability.SCREENSHOT, "qemu": ALL}

Kind = Literal[
    "obedient",
    "acpi",
    "slow",
    "stubborn",
    "refuses",
    "reboots",
    "drops",
    "late",
    "deaf",
    "panics",
    "preserved",
    "hangs",
]
Verb = Literal["start", "shutdown", "destroy", "suspend", "undefine"]
#: Seconds until a slow guest goes down: longer than a request may take.
SLOW = 8


class Rig(Protocol):
    """A host with its driver."""

    hypervisor: Hypervisor

    def define(self, kind: Kind) -> str:
        """Define a domain that is down, and return its UUID."""

    def define_with(self, *disks: str, shared: str = "") -> str:
        """Define a domain that is down and has these disks, and one that it shares with others."""

    def make_disk(self, name: str, backing: str = "") -> str:
        """Make the data of a disk, based on another's, and return its source."""

    def has_disk(self, source: str) -> bool:
        """Say whether a disk's data is there, past the driver."""

    def hand(self, uuid: str, verb: Verb) -> None:
        """Do something to a domain as another hand would."""

    def freeze(self, uuid: str) -> None:
        """Make a run take no notice of anything any more but being destroyed."""

    def clear(self) -> None:
        """Remove every domain that was defined."""

    def close(self) -> None:
        """Leave nothing behind."""


def _on_crash(kind: Kind) -> Literal["destroy", "preserve"]:
    return "preserve" if kind == "preserved" else "destroy"


def running(rig: Rig, kind: Kind = "obedient") -> str:
    """Return a domain that was started just now."""
    domain = rig.define(kind)
    rig.hypervisor.start(domain)
    return domain


def up(rig: Rig, kind: Kind = "obedient") -> str:
    """Return a domain whose agent has connected; the guest listens."""
    domain = running(rig, kind)
    wait_seen(rig.hypervisor, domain, lambda seen: seen.agent_connected)
    return domain


def wait_seen(
    hypervisor: Hypervisor, uuid: str, condition: Callable[[Observation], bool], timeout: float = 60.0
) -> Observation:
    """Look at a domain until `condition` holds, and return the look."""
    looks: list[Domain] = []

    def look() -> bool:
        looks[:] = [hypervisor.observe(uuid)]
        return condition(looks[0].seen)

    wait_until(look, "the domain looks as it should", timeout, interval=0.05)
    return looks[0].seen


def wait_down(hypervisor: Hypervisor, uuid: str, timeout: float = 60.0) -> Observation:
    """Look at a domain until it is down, and return the look."""
    return wait_seen(hypervisor, uuid, lambda seen: seen.state is DomainState.DOWN, timeout)


class FakeRig:
    """The fake host."""

    _TEMPERS: ClassVar[dict[Kind, Temper]] = {
        "obedient": Temper(),
        "acpi": Temper(agent=Agent.NONE),
        "slow": Temper(slow=1.0),
        "stubborn": Temper(agent=Agent.IGNORES, button=False),
        "refuses": Temper(agent=Agent.REFUSES),
        "reboots": Temper(told_to_halt=Reaction.REBOOT),
        "drops": Temper(agent=Agent.DROPS),
        "late": Temper(agent_answers=6),
        "deaf": Temper(agent=Agent.NONE, lost_presses=3),
        "panics": Temper(told_to_halt=Reaction.PANIC),
        "preserved": Temper(told_to_halt=Reaction.PANIC),
        "hangs": Temper(hangs=True),
    }

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon
        self.hypervisor = connections.connect(daemon.uri)
        self._number = 0
        self._defined: list[str] = []

    def define(self, kind: Kind) -> str:
        self._number += 1
        name, temper = f"{kind}-{self._number}", self._TEMPERS[kind]
        fields = {"description": f"A {kind} guest", "on_crash": _on_crash(kind)}
        uuid = self._daemon.control.define(name, temper, running=False, **fields)
        self._defined.append(uuid)
        return uuid

    def define_with(self, *disks: str, shared: str = "") -> str:
        uuid = self.define("acpi")
        found = [Disk(f"vd{'abc'[number]}", source) for number, source in enumerate(disks)]
        if shared:
            found.append(Disk("vdz", shared, Kept.SHARED))
        self._daemon.control.change(uuid, disks=[disk.as_json() for disk in found])
        return uuid

    def make_disk(self, name: str, backing: str = "") -> str:
        self._daemon.control.make_image(f"/images/{name}", backing)
        return f"/images/{name}"

    def has_disk(self, source: str) -> bool:
        return source in self._daemon.control.images()

    def hand(self, uuid: str, verb: Verb) -> None:
        self._daemon.control.hand(uuid, verb)

    def freeze(self, uuid: str) -> None:
        self._daemon.control.fail(uuid, "prepare", times=100, text="the hypervisor did not answer within 5 s")
        self._daemon.control.hold(uuid, "screenshot", times=100)

    def clear(self) -> None:
        self._daemon.control.clear_faults()
        for identity in self._defined:
            with suppress(DomainNotFound):
                self.hand(identity, "undefine")
                self.hand(identity, "destroy")
        self._defined.clear()

    def close(self) -> None:
        self.clear()
        self.hypervisor.close()


class LibvirtRig:
    """A host that libvirt manages, with a libvirt connection beside the driver's."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.reconnect()
        self._defined: list[str] = []

    def reconnect(self) -> None:
        """Connect, again if libvirtd was killed."""
        self.hypervisor = connections.connect(self._uri)
        self.libvirt = libvirt.open(self._uri)

    def define(self, kind: Kind) -> str:
        identity = str(uuid.uuid4())
        self.libvirt.defineXML(self.xml(kind, identity))
        self._defined.append(identity)
        return identity

    def define_with(self, *disks: str, shared: str = "") -> str:
        identity = self.define("acpi")
        xml = self.libvirt.lookupByUUIDString(identity).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        own = [(source, self.disk_format, "") for source in disks]
        others = [(shared, "raw", "<shareable/>")] if shared else []
        devices = "".join(
            f"""<disk type="file" device="disk"><driver name="qemu" type="{kind}"/><source file="{source}"/>{share}
            <target dev="vd{"abc"[number]}" bus="virtio"/></disk>"""
            for number, (source, kind, share) in enumerate([*own, *others])
        )
        if "<devices>" not in xml:
            xml = xml.replace("</domain>", "<devices></devices></domain>")
        self.libvirt.defineXML(xml.replace("</devices>", f"{devices}</devices>"))
        return identity

    #: Of the disks that `make_disk` makes.
    disk_format = "raw"

    def make_disk(self, name: str, backing: str = "") -> str:
        """Make the data of a disk."""
        raise NotImplementedError

    def has_disk(self, source: str) -> bool:
        """Say whether it is there."""
        raise NotImplementedError

    def xml(self, kind: Kind, identity: str) -> str:
        """Return the definition of a guest."""
        raise NotImplementedError

    def hand(self, uuid: str, verb: Verb) -> None:
        domain = self.libvirt.lookupByUUIDString(uuid)
        match verb:
            case "start":
                domain.create()
            case "shutdown":
                domain.shutdown()
            case "destroy":
                domain.destroy()
            case "suspend":
                domain.suspend()
            case "undefine":
                domain.undefine()

    def freeze(self, uuid: str) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        for identity in self._defined:
            try:
                domain = self.libvirt.lookupByUUIDString(identity)
            except libvirt.libvirtError:
                continue
            if domain.isActive():
                domain.destroy()
            if domain.isPersistent():
                domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
        self._defined.clear()

    def close(self) -> None:
        self.clear()
        self.hypervisor.close()
        self.libvirt.close()


class SimulatedRig(LibvirtRig):
    """libvirt's own test driver, in this process. Connections to `test:///default` share one host while any is open."""

    def __init__(self) -> None:
        super().__init__("test:///default")

    def make_disk(self, name: str, backing: str = "") -> str:
        based = f"<backingStore><path>{backing}</path></backingStore>" if backing else ""
        xml = f'<volume><name>{name}</name><capacity unit="MiB">1</capacity>{based}</volume>'
        return str(self.libvirt.storagePoolLookupByName("default-pool").createXML(xml).path())

    def has_disk(self, source: str) -> bool:
        pool = self.libvirt.storagePoolLookupByName("default-pool")
        return source in {volume.path() for volume in pool.listAllVolumes()}

    def clear(self) -> None:
        super().clear()
        for volume in self.libvirt.storagePoolLookupByName("default-pool").listAllVolumes():
            volume.delete()

    def xml(self, kind: Kind, identity: str) -> str:
        return f"""<domain type="test"><name>{kind}-{identity}</name><uuid>{identity}</uuid>
            <description>A {kind} guest</description><memory unit="MiB">128</memory><vcpu>1</vcpu>
            <os><type>hvm</type></os><features><acpi/></features></domain>"""


class QemuRig(LibvirtRig):
    """Real guests on a libvirtd of our own."""

    _TEMPERS: ClassVar[dict[Kind, demo.Temper]] = {
        "obedient": demo.Temper(),
        "acpi": demo.Temper(agent="off"),
        "slow": demo.Temper(slow=SLOW),
        "stubborn": demo.Temper(agent="ignore", acpi="ignore"),
        "reboots": demo.Temper(halt="reboot"),
        "drops": demo.Temper(agent="drop"),
        "late": demo.Temper(answers=6),
        "deaf": demo.Temper(agent="off", deaf=3),
        "panics": demo.Temper(halt="panic"),
        "preserved": demo.Temper(halt="panic"),
        "hangs": demo.Temper(boot="hang"),
    }

    def __init__(self, daemon: PrivateLibvirtd, image: GuestImage, emulator_type: demo.EmulatorType) -> None:
        self._daemon, self._emulator_type = daemon, emulator_type
        self._image = daemon.install(image)
        super().__init__(daemon.uri)

    disk_format = "qcow2"

    @property
    def _disks(self) -> Path:
        directory = self._daemon.directory / "images" / "removable"
        if not directory.exists():
            directory.mkdir()
            directory.chmod(0o777)
        return directory

    def make_disk(self, name: str, backing: str = "") -> str:
        return make_image(self._disks / name, backing)

    def has_disk(self, source: str) -> bool:
        return Path(source).exists()

    def clear(self) -> None:
        super().clear()
        for path in self._disks.iterdir():
            path.unlink()

    def xml(self, kind: Kind, identity: str) -> str:
        guest = demo.DemoGuest(
            f"{kind}-{identity}", f"A {kind} guest", self._TEMPERS[kind], kind not in ("acpi", "deaf")
        )
        return demo.domain_xml(
            guest, self._image, uuid=identity, emulator_type=self._emulator_type, on_crash=_on_crash(kind)
        )

    def freeze(self, uuid: str) -> None:
        processes = (pid for pid in self._daemon.processes() if pid != self._daemon.pid)
        qemu = next(pid for pid in processes if uuid.encode() in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(qemu, signal.SIGSTOP)


def make_image(path: Path, backing: str = "") -> str:
    """Make a qcow2 image that the host's QEMU can write, and return its path."""
    based = ("-b", backing, "-F", "qcow2") if backing else ()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *based, path, "1M"], check=True)
    path.chmod(0o666)
    return str(path)

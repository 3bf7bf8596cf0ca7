"""The authority on real guests in tests: fixtures for the boot image, a daemon of one's own, and guests on it.

`guest_image` (session) · `libvirtd` (module) · `emulator_type` (module) · `boot_guest` (function): see each. They come
from this module as a pytest plugin, which `tests/conftest.py` lists.
"""

import os
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import libvirt
import pytest

from tests.support.libvirtd import PrivateLibvirtd
from tests.support.waiting import wait_until
from vms.demo.guests import DEMO_GUESTS, DemoGuest, EmulatorType, domain_xml
from vms.demo.image import GuestImage, build_guest_image
from vms.demo.provision import agent_connected, usable_emulator_type

BOOT_TIMEOUT = 90.0  # seconds; some four are usual, but several guests may boot at once on a busy machine


@dataclass
class BootedGuest:
    """A demo guest on a private libvirtd. Survives the daemon's death: every access looks the domain up anew."""

    libvirtd: PrivateLibvirtd
    guest: DemoGuest
    uuid: uuid.UUID
    serial_log: Path
    _conn: libvirt.virConnect | None = None

    @property
    def domain(self) -> libvirt.virDomain:
        if self._conn is not None:
            try:
                return self._conn.lookupByUUIDString(str(self.uuid))
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    raise
                self._conn = None  # its daemon was killed; without an event loop only a failing call tells
        self._conn = libvirt.open(self.libvirtd.uri)
        return self._conn.lookupByUUIDString(str(self.uuid))

    def serial(self) -> str:
        """Everything the guest has printed since it was defined, over all its runs."""
        return self.serial_log.read_text(errors="replace") if self.serial_log.exists() else ""

    def is_running(self) -> bool:
        return bool(self.domain.isActive())

    def restart_by_agent(self) -> None:
        """Have the guest restart itself, through its agent, which may be gone before its answer is heard."""
        try:
            self.domain.reboot(libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT)
        except libvirt.libvirtError as error:
            if "End of file from agent socket" not in str(error):
                raise

    def wait_ready(self, runs: int = 1) -> None:
        """Until the guest said `ready` for the given time in its life and, if it has an agent, that is connected."""
        self.wait(lambda: self.serial().count(" ready after ") >= runs, "the guest is ready", BOOT_TIMEOUT)
        if self.guest.agent_channel and self.guest.temper.agent != "off":
            self.wait(lambda: agent_connected(self.domain), "its agent is connected", BOOT_TIMEOUT)

    def wait_down(self, timeout: float) -> None:
        """Until its domain is shut off."""
        self.wait(lambda: not self.is_running(), "the guest is down", timeout)

    def wait_said(self, text: str, timeout: float = 15.0, times: int = 1) -> None:
        """Until the guest has printed this on its serial console, so often at least."""
        self.wait(lambda: self.serial().count(text) >= times, f"the guest says {text!r}", timeout)

    def wait(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        """`wait_until`, and on failure what the guest has printed."""
        try:
            wait_until(condition, what, timeout, interval=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; the guest has said:\n{self.serial()}") from None


def boot_all(
    libvirtd: PrivateLibvirtd,
    image: GuestImage,
    emulator_type: EmulatorType,
    guests: Iterable[DemoGuest],
    *,
    preserved: Collection[str] = (),
) -> dict[str, BootedGuest]:
    """Boot demo guests all at once, wait until they listen, and return them by the names of their domains.

    Args:
        preserved: Names of the guests that are kept as they are when they crash.
    """
    booted: dict[str, BootedGuest] = {}
    connection = libvirt.open(libvirtd.uri)
    try:
        for guest in guests:
            identity = uuid.uuid4()
            serial = libvirtd.directory / "serial" / f"{identity}.log"
            xml = domain_xml(
                guest,
                libvirtd.install(image),
                uuid=identity,
                emulator_type=emulator_type,
                serial_log=serial,
                on_crash="preserve" if guest.name in preserved else "destroy",
            )
            domain = connection.defineXML(xml)
            domain.create()
            booted[domain.name()] = BootedGuest(libvirtd, guest, identity, serial)
    finally:
        connection.close()
    for each in booted.values():
        each.wait_ready()
    return booted


BootGuest = Callable[..., BootedGuest]


@pytest.fixture(scope="session")
def guest_image(pytestconfig: pytest.Config) -> GuestImage:
    """The demo guests' boot image, kept between test runs in PORTAL_TEST_CACHE (var/test-cache in the checkout)."""
    cache = os.environ.get("PORTAL_TEST_CACHE") or pytestconfig.rootpath / "var/test-cache"
    return build_guest_image(Path(cache) / "demo-image")


@pytest.fixture(scope="module")
def libvirtd() -> Iterator[PrivateLibvirtd]:
    """A libvirtd for the tests of one module; `kill()` and `restart()` it at will, but leave it running."""
    with PrivateLibvirtd() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def emulator_type(libvirtd: PrivateLibvirtd, guest_image: GuestImage) -> EmulatorType:
    conn = libvirt.open(libvirtd.uri)
    try:
        return usable_emulator_type(conn, libvirtd.install(guest_image), "test")
    finally:
        conn.close()


@pytest.fixture
def boot_guest(libvirtd: PrivateLibvirtd, guest_image: GuestImage, emulator_type: EmulatorType) -> Iterator[BootGuest]:
    """A function that boots a demo guest, by name or as a `DemoGuest`, and waits until it is ready.

    `boot_guest("slow")`; `boot_guest(DemoGuest("odd", "", Temper(halt="reboot")))`; `wait=False` returns at once.
    Each has a UUID and a name of its own, so a test can boot several of a kind; all are removed at its end.
    """
    booted: list[BootedGuest] = []

    def boot(
        guest: str | DemoGuest, *, wait: bool = True, on_crash: Literal["destroy", "preserve"] = "destroy"
    ) -> BootedGuest:
        chosen = DEMO_GUESTS[guest] if isinstance(guest, str) else guest
        identity = uuid.uuid4()
        result = BootedGuest(libvirtd, chosen, identity, libvirtd.directory / "serial" / f"{identity}.log")
        conn = libvirt.open(libvirtd.uri)
        try:
            xml = domain_xml(
                chosen,
                libvirtd.install(guest_image),
                uuid=identity,
                emulator_type=emulator_type,
                prefix=f"demo-{identity.hex[:4]}-",
                serial_log=result.serial_log,
                on_crash=on_crash,
            )
            conn.defineXML(xml)
            booted.append(result)
            result.domain.create()
        finally:
            conn.close()
        if wait:
            result.wait_ready()
        return result

    yield boot

    for guest in booted:
        try:
            domain = guest.domain
        except libvirt.libvirtError:
            continue  # the test undefined it
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)

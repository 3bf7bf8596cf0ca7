"""The libvirt driver. What is said here of libvirt was seen on libvirt 9.0 with QEMU 7.2.

Calls that could wait for a QEMU process that hangs (they ask its monitor) or for a guest are made over a second
connection and given up after a limit; see `line`. Looking at domains, starting and destroying them asks no monitor that
could be hung, and uses the first.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import libvirt
import libvirt_qemu
import structlog

from vms.domain.configuration import Configuration, Part
from vms.domain.run_options import AS_STORED, RunOptions
from vms.domain.usage import Usage
from vms.hypervisor import domain_xml, png
from vms.hypervisor.base import (
    SCREEN_LIMIT,
    AgentUnavailable,
    Capability,
    Domain,
    DomainEvent,
    GuestInfo,
    HostInfo,
    HostUnreachable,
    HypervisorError,
    NotSupported,
    RunChanged,
    Watch,
)
from vms.hypervisor.libvirt_driver import display, events, figures, look, removal, runs
from vms.hypervisor.libvirt_driver.agent import Agents
from vms.hypervisor.libvirt_driver.errors import translated, translating
from vms.hypervisor.libvirt_driver.line import SlowLine
from vms.hypervisor.libvirt_driver.loop import start_event_loop
from vms.hypervisor.subscriptions import Subscriptions

log = structlog.get_logger(__name__)

#: A host that shows no sign of life for this long is given up: seconds between two signs, and how many may be missed.
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 3, 3
#: How long a call that asks QEMU's monitor may take, in seconds.
MONITOR_LIMIT = 5.0
#: How long looking through storage and removing a disk may take, in seconds. Shorter than a task may run.
STORAGE_LIMIT = 25.0
#: How long the figures of all guests may take, in seconds: two were seen with one that was booting.
STATISTICS_LIMIT = 8.0
#: Seconds a save may fail in before it counts as under way.
SAVE_LIMIT = 2.0
CLOSE_LIMIT = 2.0
_METADATA = libvirt.VIR_DOMAIN_METADATA_ELEMENT
_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_ACTIONS = {
    "destroy": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY,
    "restart": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_RESTART,
    "rename-restart": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_RESTART_RENAME,
    "preserve": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_PRESERVE,
}
_CLOSE_REASONS = {
    libvirt.VIR_CONNECT_CLOSE_REASON_EOF: "the host closed the connection",
    libvirt.VIR_CONNECT_CLOSE_REASON_KEEPALIVE: "the host does not answer",
}


class LibvirtHypervisor:
    """A connection to a host that libvirt manages.

    Args:
        uri: Any libvirt connection URI. `test:///` and `test+unix:///` simulate guests which obey at once.

    Raises:
        HostUnreachable: The connection could not be made. This may take as long as the network lets it.
    """

    def __init__(self, uri: str) -> None:
        start_event_loop()
        self._uri = uri
        self._subscriptions = Subscriptions()
        self._watching = threading.Lock()
        self._callbacks: list[int] = []
        self._qemu_callbacks: list[int] = []
        self._reason: str | None = None
        try:
            self._connection = self._open()
            self._type = self._connection.getType()
            with suppress(libvirt.libvirtError):
                # Drivers inside this process (test:///) have no connection that could be lost.
                self._connection.registerCloseCallback(self._on_close, None)
        except libvirt.libvirtError as error:
            raise HostUnreachable(error.get_error_message() or str(error)) from error
        # The test driver's state may belong to one connection alone.
        self._line = SlowLine(self._open if self._type != "TEST" else lambda: self._connection)
        self._agents = Agents(self._line)
        self.capabilities = Capability.SAVE | Capability.SCREENSHOT
        if self._type == "QEMU":
            self.capabilities |= Capability.AGENT | Capability.DISOBEDIENCE | Capability.RESET_ENDS_RUN

    @property
    def alive(self) -> bool:
        if self._reason is not None:
            return False
        try:
            return bool(self._connection.isAlive())
        except libvirt.libvirtError:
            return False

    def close(self) -> None:
        self._reason = self._reason or "the connection was closed"
        # Closing says goodbye to the host, which may have hung.
        closing = threading.Thread(target=self._close, name="libvirt-close", daemon=True)
        closing.start()
        closing.join(CLOSE_LIMIT)

    def info(self) -> HostInfo:
        with translating():
            version = f"{_version(self._connection.getVersion())}, libvirt {_version(self._connection.getLibVersion())}"
            return HostInfo(self._connection.getHostname(), self._type, version)

    def domains(self) -> list[Domain]:
        with translating():
            return look.at_all(self._connection, jobs=self._type == "QEMU")

    def observe(self, uuid: str) -> Domain:
        with translating():
            return look.at_one(self._domain(uuid))

    def usage(self) -> dict[str, Usage]:
        return self._line.run(figures.of_all, STATISTICS_LIMIT)

    def definition(self, uuid: str) -> str:
        with translating():
            # Without the flag SECURE, which would tell passwords.
            return str(self._domain(uuid).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def guest(self, uuid: str) -> GuestInfo:
        if self._type != "QEMU":
            raise AgentUnavailable(f"guests of {self._type} have no agent")
        return self._agents.told_by(uuid)

    def prepare(self, uuid: str, token: str, *, end_on_reset: bool) -> str:
        def work(connection: libvirt.virConnect) -> str:
            domain = connection.lookupByUUIDString(uuid)
            try:
                return self._mark(domain, token, end_on_reset=end_on_reset)
            except libvirt.libvirtError:
                if not domain.isActive():
                    raise RunChanged(f"{domain.name()} is not running") from None
                raise

        return self._line.run(work, MONITOR_LIMIT)

    @staticmethod
    def _mark(domain: libvirt.virDomain, token: str, *, end_on_reset: bool) -> str:
        live = domain_xml.read(domain.XMLDesc())
        if not live.live:
            raise RunChanged(f"{domain.name()} is not running")
        if live.run_token is None:
            element = domain_xml.run_element(token)
            domain.setMetadata(_METADATA, element, domain_xml.RUN_PREFIX, domain_xml.RUN_NAMESPACE, _LIVE)
        if end_on_reset and live.on_reboot != "destroy":
            _set_on_reboot(domain, "destroy")
        return live.run_token or token

    def relent(self, uuid: str) -> None:
        def work(connection: libvirt.virConnect) -> None:
            domain = connection.lookupByUUIDString(uuid)
            stored = domain_xml.read(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)).on_reboot
            try:
                if domain.isActive() and domain_xml.read(domain.XMLDesc()).on_reboot != stored:
                    _set_on_reboot(domain, stored)
            except libvirt.libvirtError:
                if domain.isActive():
                    raise

        self._line.run(work, MONITOR_LIMIT)

    def ask_agent(self, uuid: str, *, reboot: bool = False) -> None:
        if self._type != "QEMU":
            raise AgentUnavailable(f"guests of {self._type} have no agent")
        self._agents.ask(uuid, "reboot" if reboot else "powerdown")

    def press_button(self, uuid: str) -> None:
        def work(connection: libvirt.virConnect) -> None:
            # Never flags 0, which may choose the agent and wait for it. The test driver knows nothing else.
            flags = 0 if self._type == "TEST" else libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
            connection.lookupByUUIDString(uuid).shutdownFlags(flags)

        self._line.run(work, MONITOR_LIMIT)

    def destroy(self, uuid: str, run_token: str | None) -> None:
        with translating():
            domain = self._domain(uuid)
            found = domain_xml.read(domain.XMLDesc())
            if not found.live:
                return
            if run_token is not None and found.run_token != run_token:
                raise RunChanged(f"{domain.name()} runs, but not the run that was to be ended")
            try:
                domain.destroy()
            except libvirt.libvirtError:
                if _is_active(domain):
                    raise

    def start(self, uuid: str, options: RunOptions = AS_STORED) -> None:
        with translating():
            domain = self._domain(uuid)
            if domain.isActive():
                return
            try:
                if options == AS_STORED:
                    domain.create()
                else:
                    runs.create(self._connection, domain, options)
            except libvirt.libvirtError:
                # "Already running" has no code of its own.
                if not _is_active(domain):
                    raise

    def configure(self, uuid: str, values: Mapping[Part, Any], revert: Collection[Part] = ()) -> None:
        with translating():
            runs.configure(self._connection, self._domain(uuid), values, revert)

    def define(self, uuid: str, name: str, wanted: Configuration) -> None:
        with translating():
            runs.define(self._connection, uuid, name, wanted)

    def save(self, uuid: str) -> None:
        saving = self._line.submit(lambda connection: connection.lookupByUUIDString(uuid).managedSave(0))
        with suppress(TimeoutError):
            saving.result(SAVE_LIMIT)

    def resume(self, uuid: str) -> None:
        def work(connection: libvirt.virConnect) -> None:
            domain = connection.lookupByUUIDString(uuid)
            state, _reason = domain.state()
            if state == libvirt.VIR_DOMAIN_PMSUSPENDED:
                domain.pMWakeup()
            elif state not in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED):
                domain.resume()

        self._line.run(work, MONITOR_LIMIT)

    def discard_memory(self, uuid: str) -> None:
        with translating():
            domain = self._domain(uuid)
            if domain.hasManagedSaveImage():
                domain.managedSaveRemove()

    def undefine(self, uuid: str) -> None:
        with translating():
            removal.undefine(self._connection, self._domain(uuid))

    def remove_disk(self, uuid: str, source: str) -> None:
        # Looking through storage, and deleting a large file, may take long; meanwhile others use the first connection.
        self._line.run(lambda connection: removal.remove_disk(connection, uuid, source), STORAGE_LIMIT)

    def screenshot(self, uuid: str) -> bytes:
        def work(connection: libvirt.virConnect) -> bytes:
            chunks: list[bytes] = []
            stream = connection.newStream()
            connection.lookupByUUIDString(uuid).screenshot(stream, 0)
            stream.recvAll(lambda _stream, data, _opaque: chunks.append(data), None)
            stream.finish()
            return _as_png(b"".join(chunks))

        return self._line.run(work, SCREEN_LIMIT)

    def display(self, uuid: str) -> socket.socket:
        return self._line.run(lambda connection: display.connect(connection, self._uri, uuid), MONITOR_LIMIT)

    def watch(self, handler: Callable[[DomainEvent], None], lost: Callable[[str], None]) -> Watch:
        subscription = self._subscriptions.add(handler, lost)
        try:
            with translating(), self._watching:
                if not self._callbacks:
                    self._callbacks = events.register(self._connection, self._subscriptions.tell)
                    self._qemu_callbacks = self._hear_qemu()
        except HypervisorError:
            subscription.close()
            raise
        return subscription

    # Inner workings.

    def _hear_qemu(self) -> list[int]:
        if self._type != "QEMU":
            return []
        try:
            return events.register_qemu(self._connection, self._subscriptions.tell)
        except libvirt.libvirtError as error:
            # Some hosts do not let everybody hear QEMU itself. What it tells is for the record alone.
            log.warning("QEMU's own events are not heard", error=str(error))
            return []

    def _open(self) -> libvirt.virConnect:
        connection = libvirt.open(_unattended(self._uri))
        with suppress(libvirt.libvirtError):
            connection.setKeepAlive(KEEPALIVE_INTERVAL, KEEPALIVE_COUNT)
        return connection

    def _close(self) -> None:
        self._line.leave()
        for callback in self._callbacks:
            with suppress(libvirt.libvirtError):
                self._connection.domainEventDeregisterAny(callback)
        for callback in self._qemu_callbacks:
            with suppress(libvirt.libvirtError):
                libvirt_qemu.qemuMonitorEventDeregister(self._connection, callback)
        with suppress(libvirt.libvirtError):
            self._connection.unregisterCloseCallback()
        with suppress(libvirt.libvirtError):
            self._connection.close()

    def _domain(self, uuid: str) -> libvirt.virDomain:
        return self._connection.lookupByUUIDString(uuid)

    def _on_close(self, _connection: libvirt.virConnect, reason: int, _opaque: object) -> None:
        closed_by_us, self._reason = self._reason is not None, _CLOSE_REASONS.get(reason, "the connection broke")
        if not closed_by_us:
            self._subscriptions.tell_lost(self._reason)


def _unattended(uri: str) -> str:
    """Have ssh fail rather than ask: nobody sits at the terminal it would find."""
    parts = urlsplit(uri)
    if not parts.scheme.endswith("+ssh") or "no_tty=" in parts.query:
        return uri
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, "no_tty=1")))))


def _as_png(picture: bytes) -> bytes:
    if picture.startswith(png.SIGNATURE):
        return picture
    try:
        # QEMU before 7.1 has no PNG of its own.
        return png.from_pixmap(picture)
    except ValueError as error:
        raise NotSupported(f"a picture of the guest's screen in an unknown format: {error}") from error


def _set_on_reboot(domain: libvirt.virDomain, action: str) -> None:
    try:
        domain.setLifecycleAction(libvirt.VIR_DOMAIN_LIFECYCLE_REBOOT, _ACTIONS[action], _LIVE)
    except libvirt.libvirtError as error:
        if not isinstance(translated(error), NotSupported):
            raise


def _is_active(domain: libvirt.virDomain) -> bool:
    """Say whether a domain runs; a transient one that ended is gone."""
    try:
        return bool(domain.isActive())
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"

"""The authority on which of libvirt's events the portal hears, and what they mean to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import libvirt
import libvirt_qemu

from vms.hypervisor.base import DomainEvent, EventKind

#: Every other event of a domain's life means: look again.
_LIFECYCLE = {
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: EventKind.UNDEFINED,
    libvirt.VIR_DOMAIN_EVENT_STARTED: EventKind.STARTED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: EventKind.STOPPED,
}


def register(connection: libvirt.virConnect, tell: Callable[[DomainEvent], None]) -> list[int]:
    """Have `tell` called for every event, in the event loop's thread, and return the callbacks' numbers."""

    def say(domain: libvirt.virDomain, kind: EventKind, detail: str) -> None:
        tell(DomainEvent(domain.UUIDString(), kind, datetime.now(UTC), detail))

    def lifecycle(
        _connection: libvirt.virConnect, domain: libvirt.virDomain, event: int, detail: int, _opaque: object
    ) -> None:
        # The guest has finished, but its process is still ending: any look at the domain would wait for that, 1 to
        # 2 s. STOPPED follows when there is something to see.
        if event == libvirt.VIR_DOMAIN_EVENT_SHUTDOWN:
            return
        say(domain, _LIFECYCLE.get(event, EventKind.CHANGED), f"{event}/{detail}")

    def reboot(_connection: libvirt.virConnect, domain: libvirt.virDomain, _opaque: object) -> None:
        say(domain, EventKind.RESET, "")

    def agent(
        _connection: libvirt.virConnect, domain: libvirt.virDomain, state: int, _reason: int, _opaque: object
    ) -> None:
        connected = state == libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
        say(domain, EventKind.AGENT, "connected" if connected else "disconnected")

    wanted = {
        libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE: lifecycle,
        libvirt.VIR_DOMAIN_EVENT_ID_REBOOT: reboot,
        libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE: agent,
    }
    return [connection.domainEventRegisterAny(None, event, callback, None) for event, callback in wanted.items()]


def register_qemu(connection: libvirt.virConnect, tell: Callable[[DomainEvent], None]) -> list[int]:
    """Have `tell` called, too, for what only QEMU itself tells, and return the callbacks' numbers.

    A guest that restarts in a run that is to end by that looks to libvirt like one that has shut down.
    """

    def shutdown(
        _connection: libvirt.virConnect,
        domain: libvirt.virDomain,
        _event: str,
        _seconds: int,
        _microseconds: int,
        details: str | None,
        _opaque: object,
    ) -> None:
        if json.loads(details or "{}").get("reason") == "guest-reset":
            tell(DomainEvent(domain.UUIDString(), EventKind.FINAL_RESET, datetime.now(UTC)))

    return [libvirt_qemu.qemuMonitorEventRegister(connection, None, "SHUTDOWN", shutdown, None)]

"""The authority on which of libvirt's events the portal hears, and what they mean to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import libvirt

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

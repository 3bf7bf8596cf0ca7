"""The driver for the fake host: `fake+unix:///path/to.sock`, with `?keepalive=SECONDS` for impatient tests."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from vms.domain.observation import DomainState, DownReason, Job, Observation
from vms.hypervisor.base import Capability, Domain, DomainEvent, EventKind, HostInfo, HypervisorError
from vms.hypervisor.fake.channel import Channel

SCHEME = "fake+unix"
_IDENTITY = ("uuid", "name", "description", "memory", "vcpus")


class FakeHypervisor:
    """A connection to a fake host.

    Args:
        uri: `fake+unix:///path/to.sock[?keepalive=SECONDS]`.

    Raises:
        HostUnreachable: Nobody answers there.
    """

    capabilities = (
        Capability.AGENT | Capability.DISOBEDIENCE | Capability.SAVE | Capability.SCREENSHOT | Capability.RESET_ENDS_RUN
    )

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        if parts.scheme != SCHEME or not parts.path:
            raise HypervisorError(f"not a fake host's URI: {uri}")
        keepalive = float(parse_qs(parts.query).get("keepalive", ["5"])[0])
        self._lock = threading.Lock()
        self._watches: list[_Watch] = []
        self._channel = Channel(
            unquote(parts.path), "driver", keepalive=keepalive, on_event=self._on_event, on_lost=self._on_lost
        )

    def close(self) -> None:
        self._channel.close()

    def info(self) -> HostInfo:
        return HostInfo(**self._channel.call("info"))

    def domains(self) -> list[Domain]:
        return [_domain(fields) for fields in self._channel.call("domains")]

    def observe(self, uuid: str) -> Domain:
        return _domain(self._channel.call("observe", uuid=uuid))

    def prepare(self, uuid: str, token: str, *, end_on_reset: bool) -> str:
        return str(self._channel.call("prepare", uuid=uuid, token=token, end_on_reset=end_on_reset))

    def relent(self, uuid: str) -> None:
        self._channel.call("relent", uuid=uuid)

    def ask_agent(self, uuid: str, *, reboot: bool = False) -> None:
        self._channel.call("ask_agent", uuid=uuid, reboot=reboot)

    def press_button(self, uuid: str) -> None:
        self._channel.call("press_button", uuid=uuid)

    def destroy(self, uuid: str, run_token: str | None) -> None:
        self._channel.call("destroy", uuid=uuid, run_token=run_token)

    def start(self, uuid: str) -> None:
        self._channel.call("start", uuid=uuid)

    def save(self, uuid: str) -> None:
        self._channel.call("save", uuid=uuid)

    def resume(self, uuid: str) -> None:
        self._channel.call("resume", uuid=uuid)

    def discard_memory(self, uuid: str) -> None:
        self._channel.call("discard_memory", uuid=uuid)

    def screenshot(self, uuid: str) -> bytes:
        return base64.b64decode(self._channel.call("screenshot", uuid=uuid))

    def watch(self, handler: Callable[[DomainEvent], None], lost: Callable[[str], None]) -> _Watch:
        watch = _Watch(handler, lost, self._forget)
        with self._lock:
            self._watches.append(watch)
        try:
            self._channel.call("watch")
        except HypervisorError:
            self._forget(watch)
            raise
        return watch

    def _forget(self, watch: _Watch) -> None:
        with self._lock:
            if watch in self._watches:
                self._watches.remove(watch)

    def _on_event(self, fields: dict[str, Any]) -> None:
        event = DomainEvent(fields["uuid"], EventKind(fields["kind"]), datetime.now(UTC), fields["detail"])
        with self._lock:
            watches = list(self._watches)
        for watch in watches:
            watch.tell(event)

    def _on_lost(self, reason: str) -> None:
        with self._lock:
            watches, self._watches = self._watches, []
        for watch in watches:
            watch.tell_lost(reason)


class _Watch:
    """A subscription to the events of one connection."""

    def __init__(
        self, handler: Callable[[DomainEvent], None], lost: Callable[[str], None], forget: Callable[[_Watch], None]
    ) -> None:
        self._handler, self._lost, self._forget = handler, lost, forget
        # Held while a handler runs, so that none runs on once `close` has returned; a handler itself may close.
        self._lock = threading.RLock()
        self._open = True

    def tell(self, event: DomainEvent) -> None:
        with self._lock:
            if self._open:
                self._handler(event)

    def tell_lost(self, reason: str) -> None:
        with self._lock:
            if self._open:
                self._open = False
                self._lost(reason)

    def close(self) -> None:
        with self._lock:
            self._open = False
        self._forget(self)


def _domain(fields: dict[str, Any]) -> Domain:
    identity = {name: fields.pop(name) for name in _IDENTITY}
    fields["state"] = DomainState(fields["state"])
    fields["down_reason"] = DownReason(fields["down_reason"])
    fields["job"] = Job(fields["job"])
    return Domain(**identity, seen=Observation(**fields))

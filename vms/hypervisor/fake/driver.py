"""The driver for the fake host: `fake+unix:///path/to.sock`, with `?keepalive=SECONDS` for impatient tests."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from vms.domain.configuration import Configuration, Part
from vms.domain.disks import Disk
from vms.domain.observation import DomainState, DownReason, Job, Observation
from vms.domain.run_options import AS_STORED, RunOptions
from vms.domain.usage import Usage
from vms.hypervisor.base import (
    SCREEN_LIMIT,
    Capability,
    Domain,
    DomainEvent,
    EventKind,
    GuestInfo,
    HostInfo,
    HypervisorError,
    NotSupported,
    Watch,
)
from vms.hypervisor.fake.channel import Channel
from vms.hypervisor.subscriptions import Subscriptions

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
        self._subscriptions = Subscriptions()
        self._channel = Channel(
            unquote(parts.path),
            "driver",
            keepalive=keepalive,
            on_event=self._on_event,
            on_lost=self._subscriptions.tell_lost,
        )

    @property
    def alive(self) -> bool:
        return self._channel.lost is None

    def close(self) -> None:
        self._channel.close()

    def info(self) -> HostInfo:
        return HostInfo(**self._channel.call("info"))

    def domains(self) -> list[Domain]:
        return [_domain(fields) for fields in self._channel.call("domains")]

    def observe(self, uuid: str) -> Domain:
        return _domain(self._channel.call("observe", uuid=uuid))

    def usage(self) -> dict[str, Usage]:
        return {uuid: Usage(**fields) for uuid, fields in self._channel.call("usage").items()}

    def definition(self, uuid: str) -> str:
        return str(self._channel.call("definition", uuid=uuid))

    def guest(self, uuid: str) -> GuestInfo:
        told = self._channel.call("guest", uuid=uuid)
        return GuestInfo(told["system"], tuple(told["addresses"]))

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

    def start(self, uuid: str, options: RunOptions = AS_STORED) -> None:
        self._channel.call("start", uuid=uuid, options=options.as_json())

    def configure(self, uuid: str, values: Mapping[Part, Any], revert: Collection[Part] = ()) -> None:
        self._channel.call("configure", uuid=uuid, values=dict(values), revert=list(revert))

    def define(self, uuid: str, name: str, wanted: Configuration) -> None:
        self._channel.call("define", uuid=uuid, name=name, configuration=wanted.as_json())

    def save(self, uuid: str) -> None:
        self._channel.call("save", uuid=uuid)

    def resume(self, uuid: str) -> None:
        self._channel.call("resume", uuid=uuid)

    def discard_memory(self, uuid: str) -> None:
        self._channel.call("discard_memory", uuid=uuid)

    def undefine(self, uuid: str) -> None:
        self._channel.call("undefine", uuid=uuid)

    def remove_disk(self, uuid: str, source: str) -> None:
        self._channel.call("remove_disk", uuid=uuid, source=source)

    def display(self, uuid: str) -> socket.socket:
        raise NotSupported("guests of a fake host have no display")

    def screenshot(self, uuid: str) -> bytes:
        return base64.b64decode(self._channel.call("screenshot", within=SCREEN_LIMIT, uuid=uuid))

    def watch(self, handler: Callable[[DomainEvent], None], lost: Callable[[str], None]) -> Watch:
        subscription = self._subscriptions.add(handler, lost)
        try:
            self._channel.call("watch")
        except HypervisorError:
            subscription.close()
            raise
        return subscription

    def _on_event(self, fields: dict[str, Any]) -> None:
        self._subscriptions.tell(
            DomainEvent(fields["uuid"], EventKind(fields["kind"]), datetime.now(UTC), fields["detail"])
        )


def _domain(fields: dict[str, Any]) -> Domain:
    identity = {name: fields.pop(name) for name in _IDENTITY}
    fields["state"] = DomainState(fields["state"])
    fields["down_reason"] = DownReason(fields["down_reason"])
    fields["job"] = Job(fields["job"])
    stored, running, disks = fields.pop("stored"), fields.pop("running"), fields.pop("disks")
    return Domain(
        **identity,
        seen=Observation(**fields),
        stored=Configuration.of(stored),
        running=Configuration.of(running) if running is not None else None,
        disks=tuple(Disk.of(disk) for disk in disks),
    )

"""The authority on steering a fake host: what tests, and whoever plays with it, do to its guests past the portal.

Nothing here goes through a driver, so nothing here is held, delayed or refused by the faults it orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from vms.hypervisor.fake.channel import Channel
from vms.hypervisor.fake.load import Load
from vms.hypervisor.fake.store import LogEntry
from vms.hypervisor.fake.temper import Temper

#: What another hand does as with `virsh`, what the guest does by itself, and accidents.
Hand = Literal[
    "start",
    "shutdown",
    "destroy",
    "undefine",
    "suspend",
    "resume",
    "managedsave",
    "guest_halt",
    "guest_reboot",
    "guest_sleep",
    "agent_connect",
    "agent_disconnect",
    "panic",
    "crash",
]


class FakeControl:
    """A control connection to a fake host.

    Args:
        path: The daemon's socket.

    Raises:
        HostUnreachable: Nobody answers there.
    """

    def __init__(self, path: Path | str) -> None:
        self._channel = Channel(str(path), "control", keepalive=None)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    # Domains.

    def define(self, name: str, temper: Temper | None = None, *, running: bool = True, **fields: Any) -> str:
        """Define a domain and return its UUID.

        Args:
            fields: Of `Machine`: uuid, description, memory (bytes), vcpus, on_reboot, on_crash, disks (see
                `vms.domain.disks`).
        """
        template = fields | {"temper": (temper or Temper()).__dict__}
        uuids: list[str] = self._channel.call("define", template=template, names=[name], running=running)
        return uuids[0]

    def define_many(
        self, count: int, prefix: str = "vm-", temper: Temper | None = None, *, running: bool = True
    ) -> list[str]:
        """Define domains `prefix0` … and return their UUIDs. No event is sent for them."""
        template = {"temper": (temper or Temper()).__dict__}
        names = [f"{prefix}{number}" for number in range(count)]
        uuids: list[str] = self._channel.call("define", template=template, names=names, running=running)
        return uuids

    def set_temper(self, uuid: str, temper: Temper) -> None:
        """Give a guest another temper: from its next boot, or its next request, whichever a setting is about."""
        self._channel.call("change", uuid=uuid, fields={"temper": temper.__dict__})

    def set_load(self, uuid: str, load: Load) -> None:
        """Make a guest as busy as that, from now on."""
        self._channel.call("set_load", uuid=uuid, load=load.__dict__)

    def usage(self, uuid: str) -> dict[str, Any]:
        """Return what a running guest has used so far, as drivers are told it."""
        fields: dict[str, Any] = self._channel.call("usage")[uuid]
        return fields

    def change(self, uuid: str, **fields: Any) -> None:
        """Change what is stored of a domain: name, description, memory (bytes), vcpus, on_reboot."""
        self._channel.call("change", uuid=uuid, fields=fields)

    def hand(self, uuid: str, verb: Hand) -> None:
        """Let another hand, the guest itself or an accident do something to a domain."""
        self._channel.call("hand", uuid=uuid, verb=verb)

    def inside(self, uuid: str) -> dict[str, Any]:
        """Return everything about a domain (`Machine`), also what no driver is shown."""
        fields: dict[str, Any] = self._channel.call("inside", uuid=uuid)
        return fields

    def make_image(self, source: str, backing: str = "") -> None:
        """Put the data of a disk on the host's storage, and say what it is based on."""
        self._channel.call("make_image", source=source, backing=backing)

    def images(self) -> dict[str, str]:
        """Return every image on the host's storage, with what it is based on."""
        images: dict[str, str] = self._channel.call("images")
        return images

    # Faults. `call` is the name of a method of the port, `uuid` a domain; None means any.

    def hold(
        self,
        uuid: str | None,
        call: str | None,
        *,
        when: Literal["before", "after"] = "before",
        times: int = 1,
    ) -> None:
        """Hold the next `times` such calls in flight, before their effect or after it, until `release`."""
        self._channel.call("hold", target=uuid, call=call, when=when, times=times)

    def wait_held(self, uuid: str | None, call: str | None, *, count: int = 1, timeout: float = 10.0) -> None:
        """Wait until `count` calls are held by order of `hold(uuid, call)`.

        Raises:
            TimeoutError: After `timeout` seconds.
        """
        if not self._channel.call("wait_held", target=uuid, call=call, count=count, seconds=timeout):
            raise TimeoutError(f"no {count} calls of {call} held within {timeout} s")

    def release(self, uuid: str | None, call: str | None) -> int:
        """Let the calls go on that `hold(uuid, call)` holds, hold no more, and return how many were held."""
        return int(self._channel.call("release", target=uuid, call=call))

    def fail(
        self,
        uuid: str | None,
        call: str | None,
        *,
        times: int = 1,
        text: str = "internal error: ordered to fail",
        kind: str = "HypervisorError",
    ) -> None:
        """Answer the next `times` such calls with an error of `kind` (a class of `base`); 0 takes the order back."""
        self._channel.call("fail", target=uuid, call=call, times=times, text=text, kind=kind)

    def latency(self, seconds: float, uuid: str | None = None, call: str | None = None) -> None:
        """Make such calls take this long before they are carried out."""
        self._channel.call("latency", target=uuid, call=call, seconds=seconds)

    def drop_connections(self) -> None:
        """Cut every driver's connection; they may connect again."""
        self._channel.call("drop")

    def refuse_connections(self, refuse: bool = True) -> None:
        """Cut every driver's connection and let none connect: the host is away. `False` ends it."""
        self._channel.call("refuse", refuse=refuse)

    def hang(self, hang: bool = True) -> None:
        """Answer no driver anything, without closing a connection. `False` ends it and answers what was asked."""
        self._channel.call("hang", hang=hang)

    def clear_faults(self) -> None:
        """Take back every order above and let every held call go on."""
        self._channel.call("clear")

    # The oracle.

    def log(
        self,
        uuid: str | None = None,
        *,
        after: int = 0,
        names: Sequence[str] = (),
        call: bool | None = None,
        effect: bool | None = None,
    ) -> list[LogEntry]:
        """Return the log, oldest line first.

        Args:
            uuid: Of this domain only.
            after: Only lines with a greater number (`LogEntry.seq`).
            names: Only these calls and happenings.
            call: Only calls (True), or only what became of domains (False).
            effect: Only what made a difference (True), or none (False).
        """
        entries = [_entry(fields) for fields in self._channel.call("log", uuid=uuid, after=after)]
        return [
            entry
            for entry in entries
            if (not names or entry.name in names) and call in (None, entry.call) and effect in (None, entry.effect)
        ]

    def wait_log(self, uuid: str, name: str, *, after: int = 0, timeout: float = 10.0, **fields: Any) -> LogEntry:
        """Wait for a line of the log and return it.

        Args:
            fields: Further fields it must have (`effect=True`, `run=2`, `detail="guest"`).

        Raises:
            TimeoutError: After `timeout` seconds.
        """
        wanted = {"uuid": uuid, "name": name} | fields
        line = self._channel.call("wait_log", wanted=wanted, after=after, seconds=timeout)
        if line is None:
            raise TimeoutError(f"no {wanted} in the log within {timeout} s")
        return _entry(line)

    def counts(self) -> dict[str, int]:
        """Return how often drivers called each method since the daemon started, looking included."""
        counts: dict[str, int] = self._channel.call("counts")
        return counts

    def clients(self) -> list[int]:
        """Return the process id of every driver that is connected."""
        pids: list[int] = self._channel.call("clients")
        return pids


def _entry(fields: dict[str, Any]) -> LogEntry:
    return LogEntry(**(fields | {"call": bool(fields["call"]), "effect": bool(fields["effect"])}))

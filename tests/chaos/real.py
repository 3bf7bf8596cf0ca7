"""Real guests on a libvirtd of their own. What became of them is read from their logs, beside any connection.

libvirt writes a line into a guest's log when it starts it, and one when it has ended, with the reason, also after
it was killed itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import libvirt

from portal.env import BASE_DIR
from tests.support.guests import BootedGuest
from tests.support.libvirtd import PrivateLibvirtd
from vms.demo.guests import DEMO_GUESTS, domain_xml
from vms.demo.image import build_guest_image
from vms.demo.provision import usable_emulator_type
from vms.domain.observation import DownReason, Job
from vms.hypervisor.fake import LogEntry
from vms.hypervisor.libvirt_driver import LibvirtHypervisor

#: So many of each demo guest.
_EACH = 2
#: What ended a run, and which call did where one does.
_ENDED = {
    "destroyed": ("destroy", DownReason.DESTROYED),
    "saved": ("save", DownReason.SAVED),
    "shutdown": ("", DownReason.GUEST),
}


class Recorder:
    """Has the logs of guests read as they grow, and forgets nothing.

    Args:
        logs: Where they lie; each bears its guest's name.
        record: Where what is found is written.
    """

    def __init__(self, logs: list[Path], record: Path) -> None:
        self._command = [sys.executable, "-m", "tests.chaos.recorder", *map(str, logs)]
        self._record = record

    def __enter__(self) -> Self:
        with self._record.open("wb") as record:
            self._process = subprocess.Popen(self._command, cwd=BASE_DIR, stdout=record, start_new_session=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def found(self) -> list[tuple[datetime, str, str]]:
        """Return when which guest was started (no reason) or ended, and why, oldest first."""
        if self._process.poll() is not None:
            raise AssertionError("the recorder of the guests' logs has ended")
        lines = [line.split("\t") for line in self._record.read_text().splitlines()]
        return sorted((datetime.strptime(at, "%Y-%m-%d %H:%M:%S.%f%z"), name, reason) for at, name, reason in lines)


class RealHost:
    """A libvirtd with the demo guests, some of each."""

    delays: tuple[int, ...] = (3, 8, 15)
    pause = 1.0
    kill_every = (1.5, 8.0)
    #: libvirt writes its log a moment before or after the domain's state changes.
    grain = 0.5

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._names: dict[str, uuid.UUID] = {}
        self.count = _EACH * len(DEMO_GUESTS)

    def __enter__(self) -> Self:
        cache = os.environ.get("PORTAL_TEST_CACHE") or BASE_DIR / "var/test-cache"
        image = build_guest_image(Path(cache) / "demo-image")
        self._libvirtd = self._stack.enter_context(PrivateLibvirtd())
        self.directory, self.uri = self._libvirtd.directory, self._libvirtd.uri
        installed = self._libvirtd.install(image)
        connection = libvirt.open(self.uri)
        emulator = usable_emulator_type(connection, installed, "chaos")
        for number in range(_EACH):
            for guest in DEMO_GUESTS.values():
                identity = uuid.uuid4()
                serial = self.directory / "serial" / f"{identity}.log"
                xml = domain_xml(
                    guest, installed, uuid=identity, emulator_type=emulator, prefix=f"c{number}-", serial_log=serial
                )
                domain = connection.defineXML(xml)
                domain.create()
                self._names[domain.name()] = identity
                BootedGuest(self._libvirtd, guest, identity, serial).wait_ready()
        connection.close()
        self._begun_at = datetime.now(UTC)
        logs = [self.directory / "cache/libvirt/qemu/log" / f"{name}.log" for name in self._names]
        self._recorder = self._stack.enter_context(Recorder(logs, self.directory / "guests.log"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def kill(self) -> None:
        """SIGKILL libvirtd, and start it again; its guests live on."""
        self._libvirtd.restart()

    def log(self) -> list[LogEntry]:
        """Return every start and end since the portal has had these guests."""
        numbers = count(1)
        lines: list[LogEntry] = []
        for at, name, reason in self._recorder.found():
            if at > self._begun_at:
                lines += self._entries(numbers, at.timestamp(), str(self._names[name]), reason)
        return lines

    @staticmethod
    def _entries(numbers: count[int], at: float, identity: str, reason: str) -> list[LogEntry]:
        call, ended = ("start", "") if not reason else _ENDED.get(reason, ("", DownReason.CRASHED))
        by = "driver" if call else "guest"
        lines = [LogEntry(next(numbers), at, identity, call, call=True, by=by, effect=True, run=0)] if call else []
        change = "went_down" if ended else "came_up"
        lines.append(LogEntry(next(numbers), at, identity, change, call=False, by=by, effect=True, run=0, detail=ended))
        return lines

    def inside(self, uuid: uuid.UUID) -> dict[str, Any]:
        """Return what libvirt says of a domain now, on a connection of its own."""
        connection = LibvirtHypervisor(self.uri)
        try:
            seen = connection.observe(str(uuid)).seen
        finally:
            connection.close()
        run = {
            "state": seen.state,
            "agent_connected": seen.agent_connected,
            "on_reboot": "destroy" if seen.reset_ends_run else "restart",
            "saved_at": 0.0 if seen.job is Job.SAVING else None,
        }
        return {
            "on_reboot": "restart",
            "managed_save": seen.managed_save,
            "temper": {"agent": "on" if seen.agent_channel else "none"},
            "run": None if seen.down else run,
        }

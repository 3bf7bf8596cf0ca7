"""A fake host for tests: the shipped daemon, as a process of its own, in a directory of the test.

Use the fixture `fake` (`from tests.support.fake import fake`, or list this module in `pytest_plugins`).
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.nursery import Child, fork
from tests.support.waiting import wait_until
from vms.hypervisor.base import HostUnreachable
from vms.hypervisor.fake import FakeControl, FakeHypervisor


class FakeDaemon:
    """A daemon that can be killed, frozen and started again on the same state.

    Attributes:
        uri: What the portal is given as its host; impatient, so that a frozen daemon is noticed within 6 s.
        control: Steers it; another object after each `start`.
    """

    def __init__(self, directory: Path) -> None:
        # The path of a unix socket has to be shorter than 108 bytes; pytest's directories are not always.
        self._socket_directory = tempfile.TemporaryDirectory(prefix="vmp-fake-")
        self.socket = Path(self._socket_directory.name) / "host.sock"
        self.state = directory / "fake-host.sqlite3"
        self.log_file = directory / "fake-host.jsonl"
        self.uri = f"fake+unix://{self.socket}?keepalive=2"
        self.control: FakeControl
        self._process: Child | None = None

    @property
    def pid(self) -> int:
        """Process id of the daemon.

        Raises:
            RuntimeError: It is not running.
        """
        if self._process is None:
            raise RuntimeError("the fake host is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        options = ["--socket", str(self.socket), "--state", str(self.state), "--log", str(self.log_file)]
        process = self._process = fork(options)

        def connected() -> FakeControl | None:
            if process.ended():
                raise RuntimeError("the fake host ended; what it said is above")
            try:
                return FakeControl(self.socket)
            except HostUnreachable:
                return None

        self.control = wait_until(connected, "the fake host answers")

    def connect(self, keepalive: float = 2.0) -> FakeHypervisor:
        """Return a driver of one's own, which gives up after three times `keepalive` seconds; the caller closes it."""
        return FakeHypervisor(f"fake+unix://{self.socket}?keepalive={keepalive}")

    def kill(self) -> None:
        """Kill the daemon with SIGKILL; its guests live on, as QEMU processes do."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the daemon."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """End the daemon if it runs, and remove its socket."""
        self.stop()
        self._socket_directory.cleanup()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        # One that was stopped takes nothing but SIGKILL until it goes on.
        self._process.send_signal(signal.SIGCONT)
        self._process.wait(timeout=10)
        self._process = None
        self.control.close()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDaemon]:
    """A fake host without domains."""
    daemon = FakeDaemon(tmp_path)
    daemon.start()
    yield daemon
    daemon.close()


def most_at_once(control: FakeControl, uuids: Iterable[str]) -> int:
    """Return of how many guests at most a reboot was under way at the same moment, by the host's own log.

    Under way: from the first request or power-off to the start that followed it.
    """
    under_way: set[str] = set()
    most = 0
    wanted = set(uuids)
    for entry in control.log(names=("ask_agent", "press_button", "destroy", "start"), call=True):
        if entry.uuid not in wanted:
            continue
        if entry.name == "start" and entry.effect:
            under_way.discard(entry.uuid)
        elif entry.name != "start":
            under_way.add(entry.uuid)
            most = max(most, len(under_way))
    return most

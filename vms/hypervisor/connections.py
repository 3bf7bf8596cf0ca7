"""The authority on which driver serves a URI, and on this process's open connections.

One connection per URI and process, shared by its threads. A lost one is opened again when it is next asked for, with
growing gaps between attempts, so that a dead host costs its callers next to nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from urllib.parse import urlsplit

from vms.hypervisor.base import HostUnreachable, Hypervisor, HypervisorError

#: How long an attempt to connect may take, in seconds.
CONNECT_LIMIT = 10.0
#: Gaps between attempts to connect, in seconds; the last one holds from then on.
RETRY_GAPS = (0.25, 0.5, 1.0, 2.0, 5.0)


def connect(uri: str) -> Hypervisor:
    """Open a new connection, which the caller closes. This may take as long as the network lets it.

    Raises:
        HostUnreachable: The host could not be reached.
    """
    if urlsplit(uri).scheme == "fake+unix":
        from vms.hypervisor.fake.driver import FakeHypervisor

        return FakeHypervisor(uri)
    # Imported when it is needed: processes that never talk to libvirt run without it.
    from vms.hypervisor.libvirt_driver import LibvirtHypervisor

    return LibvirtHypervisor(uri)


class _Slot:
    """The connection to one host, or what is known of attempts to make one."""

    def __init__(self, uri: str, connect: Callable[[str], Hypervisor]) -> None:
        self._uri, self._connect = uri, connect
        self._lock = threading.Lock()
        self._open: Hypervisor | None = None
        self._attempt: Future[Hypervisor] | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._reason = ""

    def get(self) -> Hypervisor:
        with self._lock:
            if self._open is not None:
                if self._open.alive:
                    return self._open
                self._open.close()
                self._open = None
            attempt, limit = self._attempt, 0.0
            if attempt is None:
                if time.monotonic() < self._retry_at:
                    raise HostUnreachable(self._reason)
                attempt, limit = self._begin(), CONNECT_LIMIT
            return self._finish(attempt, limit)

    def _begin(self) -> Future[Hypervisor]:
        """Connect in a thread: there are networks in which an attempt takes minutes."""
        future: Future[Hypervisor] = Future()

        def run() -> None:
            try:
                future.set_result(self._connect(self._uri))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised to whoever asked
                future.set_exception(error)

        threading.Thread(target=run, name="connect-to-host", daemon=True).start()
        self._attempt = future
        return future

    def _finish(self, attempt: Future[Hypervisor], limit: float) -> Hypervisor:
        try:
            self._open = attempt.result(limit)
        except TimeoutError:
            # It goes on; whoever asks next looks whether it has come to something.
            raise HostUnreachable(f"no connection to {self._uri} within {CONNECT_LIMIT:g} s") from None
        except HypervisorError as error:
            self._attempt = None
            self._retry_at = time.monotonic() + RETRY_GAPS[min(self._failures, len(RETRY_GAPS) - 1)]
            self._failures += 1
            self._reason = str(error)
            raise
        self._attempt = None
        self._failures = 0
        return self._open

    def drop(self) -> None:
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def close(self) -> None:
        self.drop()
        with self._lock:
            attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.add_done_callback(_close_result)


def _close_result(attempt: Future[Hypervisor]) -> None:
    with suppress(HypervisorError):
        attempt.result().close()


class Connections:
    """Connections by URI.

    Args:
        connect: Opens one.
    """

    def __init__(self, connect: Callable[[str], Hypervisor] = connect) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._slots: dict[str, _Slot] = {}
        self._inherited: list[dict[str, _Slot]] = []

    def abandon(self) -> None:
        """Start empty in a process that was forked off: the connections are its parent's.

        They are kept, because closing them, or having them collected, would say goodbye in the parent's name.
        """
        self._inherited.append(self._slots)
        self._lock = threading.Lock()
        self._slots = {}

    def get(self, uri: str) -> Hypervisor:
        """Return the connection to a host, opened first if there is none that is alive.

        Raises:
            HostUnreachable: It could not be opened, or the last attempt failed too short a while ago.
        """
        with self._lock:
            slot = self._slots.setdefault(uri, _Slot(uri, self._connect))
        return slot.get()

    def forget(self, uri: str) -> None:
        """Close the connection to a host, if there is one. The gaps between attempts to open it are kept."""
        with self._lock:
            slot = self._slots.get(uri)
        if slot is not None:
            slot.drop()

    def close_all(self) -> None:
        """Close every connection."""
        with self._lock:
            slots, self._slots = list(self._slots.values()), {}
        for slot in slots:
            slot.close()


_connections = Connections()
os.register_at_fork(after_in_child=_connections.abandon)


def get(uri: str) -> Hypervisor:
    """Return this process's connection to a host; see `Connections.get`."""
    return _connections.get(uri)


def forget(uri: str) -> None:
    """Close this process's connection to a host, if there is one."""
    _connections.forget(uri)


def close_all() -> None:
    """Close every connection of this process."""
    _connections.close_all()

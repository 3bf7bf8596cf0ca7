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

#: How long to wait for an attempt to connect, in seconds, unless told otherwise; the attempt itself goes on.
CONNECT_LIMIT = 3.0
#: A connection that nobody asked for in so many seconds is closed: its host was removed, or is reached another way.
IDLE_LIMIT = 600.0
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
        self.used_at = time.monotonic()

    def get(self, patience: float) -> Hypervisor:
        with self._lock:
            self.used_at = time.monotonic()
            if self._open is not None:
                if self._open.alive:
                    return self._open
                self._open.close()
                self._open = None
            attempt, wait = self._attempt, 0.0
            if attempt is None:
                if time.monotonic() < self._retry_at:
                    raise HostUnreachable(self._reason)
                attempt, wait = self._begin(), patience
        # Not under the lock: those who did not begin the attempt do not wait for it.
        return self._finish(attempt, wait)

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

    def _finish(self, attempt: Future[Hypervisor], seconds: float) -> Hypervisor:
        try:
            opened = attempt.result(seconds)
        except TimeoutError:
            # It goes on; whoever asks next looks whether it has come to something.
            raise HostUnreachable(f"no connection to {self._uri} within {max(seconds, CONNECT_LIMIT):g} s") from None
        except HypervisorError as error:
            with self._lock:
                if self._attempt is attempt:
                    self._attempt = None
                    self._retry_at = time.monotonic() + RETRY_GAPS[min(self._failures, len(RETRY_GAPS) - 1)]
                    self._failures += 1
                    self._reason = str(error)
            raise
        with self._lock:
            if self._attempt is attempt:
                self._attempt, self._open, self._failures = None, opened, 0
        return opened

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

    def get(self, uri: str, patience: float | None = None) -> Hypervisor:
        """Return the connection to a host, opened first if there is none that is alive.

        Args:
            patience: How long to wait for an attempt that this call begins, in seconds; None means `CONNECT_LIMIT`.

        Raises:
            HostUnreachable: It could not be opened, or not yet, or the last attempt failed too short a while ago.
        """
        with self._lock:
            slot = self._slots.setdefault(uri, _Slot(uri, self._connect))
            idle = self._take_out_idle(uri)
        for each in idle:
            each.close()
        return slot.get(CONNECT_LIMIT if patience is None else patience)

    def _take_out_idle(self, wanted: str) -> list[_Slot]:
        before = time.monotonic() - IDLE_LIMIT
        idle = [uri for uri, slot in self._slots.items() if uri != wanted and slot.used_at < before]
        return [self._slots.pop(uri) for uri in idle]

    def forget(self, uri: str) -> None:
        """Close the connection to a host, if there is one. The gaps between attempts to open it are kept."""
        with self._lock:
            slot = self._slots.get(uri)
        if slot is not None:
            slot.drop()

    def release(self, uri: str) -> None:
        """Forget a host altogether; an attempt to connect that is still under way is closed when it ends."""
        with self._lock:
            slot = self._slots.pop(uri, None)
        if slot is not None:
            slot.close()

    def close_all(self) -> None:
        """Close every connection."""
        with self._lock:
            slots, self._slots = list(self._slots.values()), {}
        for slot in slots:
            slot.close()


_connections = Connections()
os.register_at_fork(after_in_child=_connections.abandon)


def get(uri: str, patience: float | None = None) -> Hypervisor:
    """Return this process's connection to a host; see `Connections.get`."""
    return _connections.get(uri, patience)


def forget(uri: str) -> None:
    """Close this process's connection to a host, if there is one."""
    _connections.forget(uri)


def release(uri: str) -> None:
    """Forget a host altogether; see `Connections.release`."""
    _connections.release(uri)


def close_all() -> None:
    """Close every connection of this process."""
    _connections.close_all()

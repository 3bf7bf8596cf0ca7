"""Tests connections to hosts that somebody wants to add or change. Runs in the watcher's process.

Each test has a thread that waits for a process (see `vms.hypervisor.probe`), and ends in time: a host that hangs holds
up nobody, least of all a worker.
"""

from __future__ import annotations

import threading

import structlog
from django.db import close_old_connections, connection

from vms.engine import checks
from vms.models import HostCheck

log = structlog.get_logger(__name__)

_LOOK_EVERY = 0.5
_AT_ONCE = 4


class Checker(threading.Thread):
    """Looks for tests that wait, and carries them out, until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(name="check hosts", daemon=True)
        self._stop_asked = threading.Event()
        self._room = threading.BoundedSemaphore(_AT_ONCE)

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stop_asked.set()

    def run(self) -> None:
        """Carry out tests."""
        while not self._stop_asked.is_set():
            try:
                self._hand_out()
            except Exception:
                log.exception("could not read the tests that wait; trying again")
            close_old_connections()
            self._stop_asked.wait(_LOOK_EVERY)
        connection.close()

    def _hand_out(self) -> None:
        while self._room.acquire(blocking=False):
            check = checks.claim()
            if check is None:
                self._room.release()
                return
            # Not a pool's: nobody waits for a test when the process is to end.
            threading.Thread(target=self._carry_out, args=[check], name="check-host", daemon=True).start()

    def _carry_out(self, check: HostCheck) -> None:
        try:
            checks.carry_out(check)
        except Exception:
            # It counts as lost, and is begun anew.
            log.exception("testing a connection failed", uri=check.uri)
        finally:
            connection.close()
            self._room.release()

"""Opens displays on hosts for a loop that must not wait: a host that hangs holds up nobody else's console."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from vms.hypervisor import connections
from vms.hypervisor.base import HostUnreachable

#: Threads that ask hosts, and how many of them may wait for the same one.
_THREADS = 8
_FOR_ONE_HOST = 2


class Displays:
    """Asks hosts for displays. Used by one event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="display")
        self._waiting: Counter[str] = Counter()

    async def open(self, uri: str, uuid: str) -> socket.socket:
        """Return a connection to the display of a domain, which does not block; the caller closes it.

        Raises:
            HypervisorError: As `Hypervisor.display` does; `HostUnreachable` also when others wait for the host already.
        """
        if self._waiting[uri] >= _FOR_ONE_HOST:
            raise HostUnreachable("the host has not answered others yet")
        self._waiting[uri] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _open, uri, uuid)
        finally:
            self._waiting[uri] -= 1


def _open(uri: str, uuid: str) -> socket.socket:
    display = connections.get(uri).display(uuid)
    display.setblocking(False)
    return display

"""The authority on libvirt calls that could block (a hung QEMU, a slow guest): they get a connection of their own.

libvirt serves five calls of one connection at a time, and a call that has to ask a hung QEMU never returns. So such
calls go over a second connection, each in a thread of its own, and whoever made them stops waiting after a limit. A
line on which a call got stuck is not used again; it goes when its last call does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

import libvirt

from vms.hypervisor.base import HostUnreachable, HypervisorError
from vms.hypervisor.libvirt_driver.errors import translating

T = TypeVar("T")


class SlowLine:
    """A second connection that is opened when it is first needed, and again when it was lost or got stuck.

    Args:
        connect: Opens a connection.
    """

    def __init__(self, connect: Callable[[], libvirt.virConnect]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._connection: libvirt.virConnect | None = None

    def submit(self, work: Callable[[libvirt.virConnect], T]) -> Future[T]:
        """Do `work` in a thread and return its future, which raises the port's errors."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                with translating():
                    result = work(self._open())
            except HypervisorError as error:
                future.set_exception(error)
            except BaseException as error:
                future.set_exception(error)
                raise
            else:
                future.set_result(result)

        threading.Thread(target=run, name="libvirt-slow-call", daemon=True).start()
        return future

    def run(self, work: Callable[[libvirt.virConnect], T], seconds: float) -> T:
        """Do `work` and return its result.

        Raises:
            HypervisorError: It took longer than `seconds`; it may have its effect yet.
        """
        try:
            return self.submit(work).result(seconds)
        except TimeoutError:
            self.leave()
            raise HypervisorError(f"the hypervisor did not answer within {seconds:g} s") from None

    def leave(self) -> None:
        """Use this connection no more; it is closed when nothing uses it."""
        with self._lock:
            self._connection = None

    def _open(self) -> libvirt.virConnect:
        with self._lock:
            if self._connection is not None:
                with suppress(libvirt.libvirtError):
                    if self._connection.isAlive():
                        return self._connection
            try:
                self._connection = self._connect()
            except libvirt.libvirtError as error:
                raise HostUnreachable(str(error)) from error
            return self._connection

"""The authority on libvirt's event loop: one per process, in a thread of its own, started before the first connection.

Without it there are no events, and a dead host is never noticed (keepalive).
"""

from __future__ import annotations

import os
import threading

import libvirt

from vms.hypervisor.base import HypervisorError

_lock = threading.Lock()
#: The process that started the loop.
_started_in: list[int] = []


def start_event_loop() -> None:
    """Start the loop unless it runs already.

    A process that forks must not have started it: the child would have libvirt's state without the thread. Celery
    calls this in `worker_process_init`, after its fork.

    Raises:
        HypervisorError: It was started before this process was forked off.
    """
    with _lock:
        if _started_in == [os.getpid()]:
            return
        if _started_in:
            raise HypervisorError(
                "libvirt was in use in this process before it forked; open connections after the fork"
            )
        # libvirt would print every error to stderr as well as raise it.
        libvirt.registerErrorHandler(lambda context, error: None, None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_run, name="libvirt-events", daemon=True).start()
        _started_in.append(os.getpid())


def _run() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()

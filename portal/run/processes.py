"""Finding and ending the processes of an instance, whatever became of their parents.

Every process an instance starts carries its home in the variable PORTAL_INSTANCE, and so do that process's children.
Unlike a pid file, that cannot be stale and cannot name a stranger.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = "PORTAL_INSTANCE"
_PR_SET_PDEATHSIG = 1


def running() -> Iterator[int]:
    """The pids of all processes that see the same root directory, except this one.

    A process in another chroot or container may name the same paths and mean other places: it is not ours.
    """
    root = Path("/").stat()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            # Gone meanwhile, or another user's.
            with contextlib.suppress(OSError):
                if os.path.samestat(root, (entry / "root").stat()):
                    yield int(entry.name)


def marked(variable: str, value: str) -> list[int]:
    """The pids of the running processes with this environment variable. Zombies have none."""
    mark = os.fsencode(f"{variable}={value}")
    found = []
    for pid in running():
        with contextlib.suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def of_instance(home: Path) -> list[int]:
    """The pids of the processes of the instance at `home`, except this one."""
    return marked(MARK, str(home))


def stop(find: Callable[[], list[int]], patience: float) -> bool:
    """End what `find` finds: politely, after `patience` seconds by force. False when something is left even then."""
    _signal_all(find(), signal.SIGTERM)
    if wait_until(lambda: not find(), patience):
        return True
    # Looked up again each time: a supervisor that is being killed may have started one more child.
    return wait_until(lambda: not _signal_all(find(), signal.SIGKILL), 5)


def wait_until(condition: Callable[[], bool], patience: float, step: float = 0.05) -> bool:
    """Whether `condition` came true within `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
    return True


def _signal_all(pids: list[int], number: signal.Signals) -> list[int]:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    return pids


def end_with_parent() -> None:
    """Ask the kernel to send this process SIGTERM when its parent dies. For `preexec_fn`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

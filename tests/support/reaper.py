"""Runs a command and leaves nothing of it behind: `python -m tests.support.reaper COMMAND …`.

Tests start daemons, and those start others that leave their parents; Ctrl+C may end a test before it has taken down
what it started. The kernel gives every such orphan to this process (a "subreaper"), so that whatever was started, under
whatever name, is below it in the tree of processes and can be ended when the command has. The command's TMPDIR goes
with it, and every directory of /tmp that a link in it, named `*.link`, leads to.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
#: Seconds that what is left gets to end by itself, then after SIGTERM, then after SIGKILL.
_GRACE = 3.0
_POLITENESS = 5.0
_FORCE = 10.0
#: The exit status when processes were left although nobody had interrupted the command.
LEFT_BEHIND = 70


def main(command: list[str]) -> int:
    """Run the command; its exit status is ours, unless it succeeded and left processes behind."""
    # Ctrl+C must reach the command even where a shell started us in the background, which means to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # Short, because sockets lie in it, and open for those who know the way, because QEMU runs as another user.
    directory = Path(tempfile.mkdtemp(prefix="vmp-", dir="/tmp"))
    directory.chmod(0o711)
    try:
        status = _run(command, {**os.environ, "TMPDIR": str(directory)})
        left = _clear_away()
    finally:
        _remove(directory)
    if left:
        sys.stderr.write("\n  ".join(["left behind by the tests, and ended:", *left]) + "\n")
    return status or (LEFT_BEHIND if left else 0)


def _remove(directory: Path) -> None:
    """Remove the directory, and those that needed a shorter path and left a link to themselves in it."""
    for link in directory.glob("*.link"):
        shutil.rmtree(link.resolve(), ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def _run(command: list[str], environment: dict[str, str]) -> int:
    child = subprocess.Popen(command, env=environment)
    # The terminal sends Ctrl+C to the command as well; what reaches only us is passed on as the same.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    while True:
        pid, ended = os.wait()  # orphans too
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(ended)
            # Ended by a signal: as a shell tells it.
            return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl+C does: tell all that is in the foreground; daemons are left to those who started them."""
    for pid in _descendants(bury=False):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) == os.getpgrp():
                os.kill(pid, signal.SIGINT)


def _clear_away() -> list[str]:
    """End all that is still below this process. Returns the names of what did not end by itself."""
    if _wait(lambda: not _descendants(), _GRACE):
        return []
    left = [f"{pid} {_name(pid)}" for pid in _descendants()]
    _signal_all(signal.SIGTERM)
    # By force at last, again and again: one that is being killed may have started another.
    if not _wait(lambda: not _descendants(), _POLITENESS) and not _wait(
        lambda: not _signal_all(signal.SIGKILL), _FORCE
    ):
        left.append(f"still there: {_descendants()}")
    return left


def _descendants(*, bury: bool = True) -> list[int]:
    """Return the ids of the processes below this one; by default after burying those that have ended."""
    with contextlib.suppress(ChildProcessError):
        while bury and os.waitpid(-1, os.WNOHANG)[0]:
            pass
    found: list[int] = []
    todo = [os.getpid()]
    while todo:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{todo.pop()}/task").iterdir():
                children = [int(child) for child in (task / "children").read_text().split()]
                todo += children
                found += children
    return found


def _signal_all(number: signal.Signals) -> list[int]:
    pids = _descendants()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            # One that was stopped takes nothing but SIGKILL until it goes on.
            os.kill(pid, signal.SIGCONT)
    return pids


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:120]
    return ""


def _wait(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

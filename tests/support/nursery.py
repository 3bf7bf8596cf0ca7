"""`python -m tests.support.nursery` forks fake hosts: each is a process of its own, without a new interpreter for it.

Hundreds of tests have a host to themselves. Reads a command line as JSON, one a line, and answers with a process id.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from vms.hypervisor.fake.__main__ import main as serve

_CHECKOUT = Path(__file__).parents[2]


class Child:
    """A process that is nobody's child here, and that can be told apart from whoever gets its id next."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self._handle = None

    def ended(self, within: float = 0.0) -> bool:
        """Say whether it has ended, waiting for that for some seconds at most."""
        return self._handle is None or bool(select.select([self._handle], [], [], within)[0])

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        if self._handle is not None:
            # Asking first would not do: it may end between the answer and the signal.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def wait(self, timeout: float) -> None:
        """Wait until it has ended.

        Raises:
            TimeoutError: After `timeout` seconds.
        """
        if not self.ended(timeout):
            raise TimeoutError(f"process {self.pid} has not ended within {timeout} s")
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@cache
def _nursery() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.nursery"],
        cwd=_CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)  # it ends with its input
    return process


def fork(arguments: list[str]) -> Child:
    """Start a fake host with these arguments."""
    nursery = _nursery()
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(json.dumps(arguments) + "\n")
    nursery.stdin.flush()
    return Child(int(nursery.stdout.readline()))


def main() -> None:
    """Fork until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: the kernel clears them away
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while line := sys.stdin.readline():
        pid = os.fork()
        if not pid:
            _become(json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become(arguments: list[str]) -> None:
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nothing, stream)
    sys.argv = ["python -m vms.hypervisor.fake", *arguments]
    status = 1
    try:
        serve()
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()

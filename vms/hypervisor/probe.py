"""Tests a connection to a host in a process of its own, which ends in time whatever the host does.

A connection to a host that hangs may never come about and cannot be given up from within: libvirt waits in C, perhaps
for an ssh that it started. A process can be ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vms.hypervisor import connections
from vms.hypervisor.base import HostUnreachable, HypervisorError

_CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Found:
    """What a host said of itself."""

    hostname: str
    version: str
    vm_count: int


def probe(uri: str, seconds: float) -> Found:
    """Connect to a host, ask it who it is, and leave.

    Raises:
        HypervisorError: It could not be reached, or did not answer within `seconds`. The text is libvirt's.
    """
    command = [sys.executable, "-m", "vms.hypervisor.probe", str(round(seconds) + 1)]
    # A session of its own: no terminal at which ssh could ask, and whatever it starts ends with it.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_CHECKOUT, start_new_session=True
    ) as process:
        try:
            answer, _ = process.communicate(uri, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise HostUnreachable(f"no connection to {uri} within {seconds:g} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    said = json.loads(answer) if answer else {"error": f"the test ended unexpectedly ({process.returncode})"}
    if "error" in said:
        raise HypervisorError(said["error"])
    return Found(**said)


def main() -> None:
    """Read a URI, and write what was found, or the error."""
    # Should whoever waits for the answer be killed, nobody else would end this.
    signal.alarm(int(sys.argv[1]))
    try:
        hypervisor = connections.connect(sys.stdin.read())
        info = hypervisor.info()
        found = Found(info.hostname, f"{info.hypervisor} {info.version}", len(hypervisor.domains()))
    except HypervisorError as error:
        answer = {"error": str(error)}
    else:
        answer = asdict(found)
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    # Saying goodbye to a host can take as long as anything else.
    os._exit(0)


if __name__ == "__main__":
    main()

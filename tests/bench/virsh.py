"""`./dev bench virsh`: how long a change made with virsh takes to an open page.

The host is a real libvirtd with libvirt's simulated driver, the portal is what `./dev run` starts, and the page is a
connection to the stream. Counted from before virsh is started until the frame with the VM's row has come.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from tests.acceptance.instance import Instance, vm, wait_status
from tests.acceptance.test_live import listening, row_of
from tests.bench.figures import Spread, say, say_where
from tests.support.libvirtd import PrivateLibvirtd

#: Milliseconds aimed at.
P95_MS = 700.0
#: The domain that every simulated host begins with.
_DOMAIN = "test"


def run(*, times: int) -> int:
    """Measure; returns 1 when it took longer than is aimed at."""
    say_where()
    took = []
    with PrivateLibvirtd() as libvirtd, tempfile.TemporaryDirectory(prefix="vmp-bench-") as directory:
        uri = f"test+unix:///default?socket={libvirtd.socket}"
        portal = Instance(Path(directory) / "home", uri)
        try:
            portal.start()
            with portal.database():
                machine = vm(_DOMAIN)
                wait_status(machine, "up")
                with listening(portal, portal.person()) as page:
                    for number in range(times):
                        command, shown = (("destroy", "Down"), ("start", "Up"))[number % 2]
                        began = time.monotonic()
                        subprocess.run(
                            ["virsh", "--quiet", "--connect", uri, command, _DOMAIN], check=True, capture_output=True
                        )
                        page.hear(lambda frame: f"{_DOMAIN}: {shown}" in row_of(frame, machine), f"it is {shown}")  # noqa: B023
                        took.append(time.monotonic() - began)
        finally:
            portal.stop()
    spread = Spread.of(took)
    say(f"{times} changes with virsh until a page has them: {spread} (aim: p95 {P95_MS:.0f} ms)")
    return spread.p95 > P95_MS

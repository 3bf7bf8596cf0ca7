"""Many open pages in one process, over raw sockets: `python -m tests.bench.listeners PORT VMS < cookies`.

One stream for each line of cookies. Each change names itself and its moment (see `streams.py`), so nothing has to be
compared with the process that makes the changes: the clock is the machine's. Commands come one a line after a line
that is empty; answers are lines of JSON.

    now     how many streams are open, and how many have seen every VM's newest change that any of them has seen
    reset   forget the delays so far
    report  the delays as {milliseconds: how often}, how many frames and bytes came
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter

#: What a changed row says of itself, as JSON in a frame: number of the VM, nanoseconds of the change.
_CHANGE = re.compile(rb'data-announce=\\"bench-(\d+)-(\d+):')
_END_OF_FRAME = b"\n\n"


class Crowd:
    """All streams of this process, and what they saw."""

    def __init__(self, vms: int) -> None:
        self.vms = vms
        self.streams: list[Page] = []
        self.delays: Counter[int] = Counter()
        self.frames = 0
        self.bytes = 0

    def reset(self) -> None:
        """Forget what was measured, but not what was seen."""
        self.delays.clear()
        self.frames = self.bytes = 0

    def now(self) -> dict[str, int]:
        """Say how far everybody is."""
        newest = [max(stream.seen[vm] for stream in self.streams) for vm in range(self.vms)]
        return {
            "open": sum(stream.opened for stream in self.streams),
            "up_to_date": sum(stream.seen == newest for stream in self.streams),
            "oldest_of_newest": min(newest),
        }


class Page(asyncio.Protocol):
    """One stream."""

    def __init__(self, crowd: Crowd, port: int, cookies: str) -> None:
        self._crowd = crowd
        self._request = f"GET /live/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookies}\r\n\r\n".encode()
        self._rest = b""
        self.opened = False
        self.seen = [0] * crowd.vms

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def connection_lost(self, _error: Exception | None) -> None:
        """Count it as closed."""
        self.opened = False

    def data_received(self, data: bytes) -> None:
        """Look at every frame that is whole."""
        self._crowd.bytes += len(data)
        whole, end, self._rest = (self._rest + data).rpartition(_END_OF_FRAME)
        if not end:
            return
        if not self.opened:
            self.opened = b'"lost":false' in whole
        self._crowd.frames += whole.count(_END_OF_FRAME) + 1
        now = time.monotonic_ns()
        for found in _CHANGE.finditer(whole):
            vm, moment = int(found[1]), int(found[2])
            if moment > self.seen[vm]:
                self.seen[vm] = moment
                self._crowd.delays[(now - moment) // 1_000_000] += 1


async def _main(port: int, vms: int) -> None:
    crowd = Crowd(vms)
    loop = asyncio.get_running_loop()
    while cookies := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        page = Page(crowd, port, cookies)
        crowd.streams.append(page)
        await loop.create_connection(lambda page=page: page, "127.0.0.1", port)  # type: ignore[misc]
    while command := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        if command == "reset":
            crowd.reset()
        answer = (
            {"delays": crowd.delays, "frames": crowd.frames, "bytes": crowd.bytes}
            if command == "report"
            else crowd.now()
        )
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))

"""A receiver of webhooks for tests: real HTTP on a loopback port, in a thread, with a temper. It keeps what it took."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest


class Temper(StrEnum):
    """How the receiver answers."""

    OBEDIENT = "obedient"
    BROKEN = "broken"
    REFUSES = "refuses"
    REDIRECTS = "redirects"
    """Sends whoever asks to another address of its own."""
    TALKS = "talks"
    """Takes the delivery, and says a megabyte about it."""
    HANGS = "hangs"
    """Takes the request, and never says a word."""
    DRIPS = "drips"
    """Begins an answer, and goes on with a byte every few milliseconds, for ever."""
    FLOODS = "floods"
    """Says over and over that the request may go on, and nothing else."""
    HANGS_UP = "hangs_up"
    GARBAGE = "garbage"
    """Speaks something else than HTTP."""


_ANSWERS = {
    Temper.OBEDIENT: b"HTTP/1.1 204 No Content\r\n\r\n",
    Temper.BROKEN: b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    Temper.REFUSES: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    Temper.REDIRECTS: b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    Temper.TALKS: b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000,
    Temper.GARBAGE: b"220 this is a mail server\r\n",
    Temper.HANGS_UP: b"",
}


#: How it begins, what comes again and again, and after how many seconds.
_ENDLESS = {
    Temper.DRIPS: (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", 0.005),
    Temper.FLOODS: (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50, 0.0),
}


@dataclass(frozen=True)
class Taken:
    """A request as it came."""

    line: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """What it says."""
        told: dict[str, Any] = json.loads(self.body)
        return told


class Receiver:
    """One server, on a port of its own; `temper` may be changed at any time.

    Attributes:
        taken: The requests it read, oldest first, whatever it answered.
        connections: How many connections were made.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.temper = Temper.OBEDIENT
        self.taken: list[Taken] = []
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._serving: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="receiver")
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls), self._loop
        ).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/hook?from=portal"

    def close(self) -> None:
        """Hang up on everybody and end."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.connections += 1
        try:
            await self._read(reader)
            await self._answer(writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass  # the portal has hung up, or the server ends
        finally:
            self._serving.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = dict(field.split(": ", 1) for field in fields)
        body = await reader.readexactly(int(headers.get("Content-Length", 0)))
        self.taken.append(Taken(line, headers, body))

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        if self.temper is Temper.HANGS:
            await asyncio.Event().wait()
        if self.temper in _ENDLESS:
            begin, again, pause = _ENDLESS[self.temper]
            writer.write(begin)
            while True:
                writer.write(again)
                await writer.drain()
                await asyncio.sleep(pause)
        writer.write(_ANSWERS[self.temper])
        await writer.drain()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A receiver on this machine, which the portal may post to."""
    settings.PORTAL_WEBHOOKS_PRIVATE = True
    server = Receiver()
    yield server
    server.close()

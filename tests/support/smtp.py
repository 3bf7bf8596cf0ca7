"""A mail server for tests: real SMTP on a loopback port, in a thread, with a temper. It keeps what it took."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from enum import StrEnum

import pytest


class Temper(StrEnum):
    """How the server takes a mail."""

    OBEDIENT = "obedient"
    REFUSES_RECIPIENTS = "refuses_recipients"
    REFUSES_TEXT = "refuses_text"
    BUSY = "busy"
    """Asks to try this recipient again later, as greylisting does."""
    CLOSED = "closed"
    """Greets with a refusal of service."""
    HANGS = "hangs"
    """Takes the connection, and never says a word."""
    HANGS_AFTER_TAKING = "hangs_after_taking"
    """Takes the mail, and never says so."""


@dataclass(frozen=True)
class Taken:
    """A mail that was taken: from the envelope, and what it says."""

    sender: str
    recipient: str
    message: EmailMessage


_REFUSALS = {
    ("RCPT", Temper.REFUSES_RECIPIENTS): "550 no such mailbox",
    ("RCPT", Temper.BUSY): "451 try again later",
    ("DATA", Temper.REFUSES_TEXT): "554 looks like spam",
}


class MailServer:
    """One server, on a port of its own; `temper` may be changed at any time.

    Attributes:
        taken: The mails it took, oldest first.
        connections: How many connections were made.
    """

    def __init__(self) -> None:
        self.temper = Temper.OBEDIENT
        self.taken: list[Taken] = []
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._serving: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail-server")
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]

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
            await self._converse(reader, writer)
        except (asyncio.CancelledError, ConnectionError):
            pass  # the client has hung up, or the server ends
        finally:
            self._serving.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.temper is Temper.HANGS:
            await asyncio.Event().wait()
        if self.temper is Temper.CLOSED:
            writer.write(b"421 not now\r\n")
            return
        writer.write(b"220 test ESMTP\r\n")
        envelope: dict[str, str] = {}
        while line := (await reader.readline()).decode().strip():
            verb = line.upper().partition(" ")[0]
            answer = _REFUSALS.get((verb, self.temper)) or {"QUIT": "221 bye", "DATA": "354 go on"}.get(verb, "250 ok")
            writer.write(f"{answer}\r\n".encode())
            if verb in ("MAIL", "RCPT"):
                envelope[verb] = line.partition("<")[2].partition(">")[0]
            elif answer.startswith("354"):
                await self._take(envelope, reader)
                writer.write(b"250 ok\r\n")

    async def _take(self, envelope: dict[str, str], reader: asyncio.StreamReader) -> None:
        text = (await reader.readuntil(b"\r\n.\r\n")).removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
        message = message_from_bytes(text, policy=policy.default)
        self.taken.append(Taken(envelope["MAIL"], envelope["RCPT"], message))
        if self.temper is Temper.HANGS_AFTER_TAKING:
            await asyncio.Event().wait()


@pytest.fixture
def mail_server(settings: object) -> Iterator[MailServer]:
    """A mail server, which the portal is configured for."""
    server = MailServer()
    for name, value in {
        "PORTAL_MAILS": True,
        "PORTAL_URL": "https://vms.example.org",
        "DEFAULT_FROM_EMAIL": "VM Portal <portal@example.org>",
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": server.port,
        "EMAIL_TIMEOUT": 0.5,
    }.items():
        setattr(settings, name, value)
    yield server
    server.close()

"""Carries the screen's protocol between a page's WebSocket and the guest's display, as an ASGI application of its own.

The bytes are not looked at. A console is closed when its guest's run ends, when its page goes, and within seconds when
its viewer may use it no more.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import structlog
from django.conf import settings
from django.db import connections as databases
from redis.exceptions import RedisError

from vms import permissions, sessions
from vms.console import tickets
from vms.console.tickets import Ticket
from vms.hypervisor import connections
from vms.hypervisor.base import HypervisorError
from vms.models import VirtualMachine

log = structlog.get_logger(__name__)

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PATH = "/console/"
#: Seconds between two looks at whether somebody may still use a console.
_LOOK_AGAIN = 3.0
#: Bytes that are read from a display at a time.
_CHUNK = 64 * 1024
#: Threads that ask hosts and the database for all consoles together; a host that hangs holds at most these.
_THREADS = 4


class Code(IntEnum):
    """Why a console was closed, as its page is told."""

    RUN_ENDED = 4000
    """The guest's display is gone: it went down, or restarts. The page tries again."""
    NO_DISPLAY = 4001
    """There is none to be reached now."""
    FORBIDDEN = 4003
    """The ticket is not good, or the permission was withdrawn."""
    BROKER_AWAY = 4004
    """Nobody can tell whether the ticket is good."""


class Console:
    """Answers the WebSockets of consoles."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="console")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one WebSocket until either side is done with it."""
        if (await receive())["type"] != "websocket.connect":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if not _from_our_page(headers):
            await send({"type": "websocket.close", "code": Code.FORBIDDEN})  # before it is accepted: HTTP 403
            return
        offered = scope.get("subprotocols", [])
        await send({"type": "websocket.accept", "subprotocol": "binary" if "binary" in offered else None})
        code = await self._serve(scope, headers, receive, send)
        if code is not None:
            await send({"type": "websocket.close", "code": int(code)})

    async def _serve(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> Code | None:
        """Carry bytes; returns why the portal ends it, None when the page did."""
        (secret,) = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [""])[:1]
        try:
            ticket = await self._ask(_checked, secret, headers.get("cookie", ""))
        except RedisError as error:
            log.warning("Redis away; no console can be opened", error=str(error))
            return Code.BROKER_AWAY
        if ticket is None:
            return Code.FORBIDDEN
        try:
            display = await self._ask(_display, ticket)
        except HypervisorError as error:
            log.warning("no display", vm=str(ticket.vm), error=str(error))
            return Code.NO_DISPLAY
        if display is None:
            return Code.FORBIDDEN
        display.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=display)
        from_page = asyncio.create_task(_carry_from_page(receive, writer))
        from_guest = asyncio.create_task(_carry_from_guest(reader, send))
        withdrawn = asyncio.create_task(self._until_withdrawn(ticket))
        tasks = {from_page: None, from_guest: Code.RUN_ENDED, withdrawn: Code.FORBIDDEN}
        try:
            done, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
        return None if from_page in done and from_page.exception() is None else tasks[min(done, key=list(tasks).index)]

    async def _until_withdrawn(self, ticket: Ticket) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            if not await self._ask(_may_still, ticket):
                return

    async def _ask(self, question: Callable[..., T], *arguments: Any) -> T:
        def answer() -> T:
            try:
                return question(*arguments)
            finally:
                databases.close_all()

        return await asyncio.get_running_loop().run_in_executor(self._threads, answer)


async def _carry_from_page(receive: Receive, writer: asyncio.StreamWriter) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        writer.write(message.get("bytes") or (message.get("text") or "").encode())
        await writer.drain()


async def _carry_from_guest(reader: asyncio.StreamReader, send: Send) -> None:
    while chunk := await reader.read(_CHUNK):
        # Waits until the page has taken it: a slow page slows its own console, and fills no memory.
        await send({"type": "websocket.send", "bytes": chunk})


def _from_our_page(headers: dict[str, str]) -> bool:
    """Say whether a page of ours opens this WebSocket: browsers name the page's origin, and pages cannot forge it."""
    origin = urlsplit(headers.get("origin", ""))
    if origin.netloc and origin.netloc == headers.get("host", ""):
        return True
    return f"{origin.scheme}://{origin.netloc}" in settings.CSRF_TRUSTED_ORIGINS


def _checked(secret: str, cookie_header: str) -> Ticket | None:
    """Return what a ticket says when it is good, and handed in by the session that it was given to."""
    ticket = tickets.take(secret)
    session = sessions.session_of(sessions.cookies_of(cookie_header))
    if ticket is None or session != ticket.session:
        return None
    return ticket if _may_still(ticket) else None


def _may_still(ticket: Ticket) -> bool:
    user = sessions.user_of(ticket.session)
    vm = VirtualMachine.objects.filter(pk=ticket.vm, removed_at__isnull=True).first()
    return user is not None and user.pk == ticket.user and vm is not None and permissions.may_use_console(user, vm)


def _display(ticket: Ticket) -> socket.socket | None:
    vm = VirtualMachine.objects.select_related("host").filter(pk=ticket.vm).first()
    return connections.get(vm.host.uri).display(str(vm.uuid)) if vm is not None else None

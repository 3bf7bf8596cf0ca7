"""Carries the screen's protocol between a page's WebSocket and the guest's display, as an ASGI application of its own.

The bytes are not looked at. A console is closed when its guest's run ends, when its page goes, and within seconds when
its viewer may use it no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import Any, TypeVar
from urllib.parse import parse_qs

import structlog
from django.db import DatabaseError
from django.db import connections as databases
from redis.exceptions import RedisError

from vms.console import access
from vms.console.access import Pass
from vms.console.displays import Displays
from vms.hypervisor.base import DomainNotFound, HostUnreachable, HypervisorError, NotSupported, RunChanged

log = structlog.get_logger(__name__)

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: Seconds between two looks at whether somebody may still use a console.
_LOOK_AGAIN = 3.0
#: Bytes that are read from a display at a time.
_CHUNK = 64 * 1024
#: Threads that ask the database and Redis, for all consoles together.
_THREADS = 4
#: What a WebSocket can say as it closes, in bytes.
_LONGEST_REASON = 123


class Code(IntEnum):
    """Why a console was closed, as its page is told. `static/js/console.js` knows them."""

    RUN_ENDED = 4000
    """The guest went down, or restarts: the page tries again."""
    NO_DISPLAY = 4001
    """The guest has no display that can be reached; the reason says why."""
    FORBIDDEN = 4003
    """The ticket is not good, or the permission was withdrawn."""
    TRY_AGAIN = 4004
    """Nobody can tell now: database, Redis or hypervisor are in trouble."""
    HOST_AWAY = 4005


class Closed(Exception):
    """The portal closes a console."""

    def __init__(self, code: Code, reason: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Console:
    """Answers the WebSockets of consoles."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="console")
        self._displays = Displays()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one WebSocket until either side is done with it."""
        if (await receive())["type"] != "websocket.connect":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if not access.from_our_page(headers):
            log.warning("a console was asked for from another page", origin=headers.get("origin"))
            await send({"type": "websocket.close"})  # before it is accepted: HTTP 403
            return
        # Accepted before it is judged: a browser tells its page nothing of why a WebSocket was not accepted.
        await send({"type": "websocket.accept"})
        # Whoever has gone needs no goodbye.
        with contextlib.suppress(OSError):
            try:
                await self._serve(scope, headers, receive, send)
            except Closed as closed:
                await send({"type": "websocket.close", "code": int(closed.code), "reason": _short(closed.reason)})

    async def _serve(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        """Carry bytes until the page has gone.

        Raises:
            Closed: The portal ends it.
        """
        (secret,) = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [""])[:1]
        shown = await self._ask(access.admitted, secret, headers.get("cookie", ""))
        if shown is None:
            raise Closed(Code.FORBIDDEN)
        with structlog.contextvars.bound_contextvars(vm=str(shown.vm.pk), correlation_id=shown.correlation_id):
            display = await self._display(shown)
            try:
                await self._ask(access.record_opened, shown)
                try:
                    await self._carry(shown, display, receive, send)
                finally:
                    await self._ask(access.record_closed, shown)
            finally:
                display.close()

    async def _display(self, shown: Pass) -> socket.socket:
        try:
            return await self._displays.open(shown.vm.host.uri, str(shown.vm.uuid))
        except (RunChanged, DomainNotFound):
            raise Closed(Code.RUN_ENDED) from None
        except NotSupported as error:
            raise Closed(Code.NO_DISPLAY, str(error)) from None
        except HostUnreachable as error:
            raise Closed(Code.HOST_AWAY, str(error)) from None
        except HypervisorError as error:
            log.warning("a display could not be opened", error=str(error))
            raise Closed(Code.TRY_AGAIN, str(error)) from None

    async def _carry(self, shown: Pass, display: socket.socket, receive: Receive, send: Send) -> None:
        """Carry bytes both ways until one of the three ends: the page, the display, or the permission."""
        tasks = {
            asyncio.create_task(_from_page(receive, display)),
            asyncio.create_task(_from_guest(display, send)),
            asyncio.create_task(self._until_withdrawn(shown)),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _until_withdrawn(self, shown: Pass) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            if not await self._ask(access.still_admitted, shown):
                raise Closed(Code.FORBIDDEN)

    async def _ask(self, question: Callable[..., T], *arguments: Any) -> T:
        """Ask the database or Redis in a thread, and keep no connection.

        Raises:
            Closed: They do not answer.
        """

        def answer() -> T:
            try:
                return question(*arguments)
            finally:
                databases.close_all()

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, answer)
        except (RedisError, DatabaseError) as error:
            log.warning("nobody can tell who may use a console", error=str(error))
            raise Closed(Code.TRY_AGAIN) from None


async def _from_page(receive: Receive, display: socket.socket) -> None:
    """Carry what the page sends until it has gone. What it sends is read no faster than the display takes it."""
    loop = asyncio.get_running_loop()
    while (message := await receive())["type"] == "websocket.receive":
        try:
            await loop.sock_sendall(display, message.get("bytes") or b"")
        except OSError:
            raise Closed(Code.RUN_ENDED) from None


async def _from_guest(display: socket.socket, send: Send) -> None:
    """Carry what the display sends until it has gone. `send` waits until the page takes it, so no memory fills."""
    loop = asyncio.get_running_loop()
    try:
        while chunk := await loop.sock_recv(display, _CHUNK):
            await send({"type": "websocket.send", "bytes": chunk})
    except ConnectionResetError:
        pass
    raise Closed(Code.RUN_ENDED)


def _short(reason: str) -> str:
    return reason.encode()[:_LONGEST_REASON].decode(errors="ignore")

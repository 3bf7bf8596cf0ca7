"""The stream of server-sent events, as an ASGI application of its own.

A view of Django would hold a thread, and perhaps a connection to the database, for each open page.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from http import HTTPStatus
from typing import Any

import structlog
from django.db import DatabaseError

from vms.live.hub import Hub
from vms.live.listener import Listener

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PATH = "/live/"
#: Seconds between two frames to one page at least: four in a second are as good as forty, and cost a tenth.
_PACE = 0.25
#: Seconds after which a page that is told nothing gets a sign of life.
_SIGN_OF_LIFE = 15.0
#: Milliseconds after which a page whose stream was cut off opens it again, at least and at most.
_COME_BACK = (1000, 3000)

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # A proxy in between must not gather what is meant for now.
    (b"x-accel-buffering", b"no"),
]


class Stream:
    """Answers requests for the stream.

    Args:
        hub: Where changes are heard.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, until its page is closed or its viewer may listen no more."""
        if scope["method"] != "GET":
            await _refuse(send, HTTPStatus.METHOD_NOT_ALLOWED)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            viewer = await self._hub.find(headers)
        except DatabaseError as error:
            log.warning("database away; nobody can listen", error=str(error))
            await _refuse(send, HTTPStatus.SERVICE_UNAVAILABLE)
            return
        if viewer is None:
            await _refuse(send, HTTPStatus.FORBIDDEN)
            return
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": _HEADERS})
        with self._hub.joined(viewer) as listener:
            await _until_first(_closed(receive), listener.dismissed.wait(), _tell(listener, send))
        # To a page that is closed already this goes nowhere.
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b""})

    async def close(self) -> None:
        """End all streams: the server stops."""
        await self._hub.close()


async def _until_first(*works: Coroutine[Any, Any, object]) -> None:
    """Do several things at once until the first of them is done. What went wrong in that one is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _going_on = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _tell(listener: Listener, send: Send) -> None:
    # Those whom a restart sends away must not all come back in the same moment.
    text = f"retry: {random.randint(*_COME_BACK)}\n\n"  # noqa: S311  (nobody gains by guessing it)
    await _send(send, text)
    while True:
        frame = await listener.take(_SIGN_OF_LIFE)
        await _send(send, f"data: {frame.as_json()}\n\n" if frame is not None else ": \n\n")
        await asyncio.sleep(_PACE)


async def _send(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _closed(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send, status: HTTPStatus) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": status.phrase.encode()})

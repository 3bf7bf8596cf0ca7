"""The stream of server-sent events, as an ASGI application of its own.

A view of Django would hold a thread, and perhaps a connection to the database, for each open page.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from vms.live import viewers
from vms.live.hub import Hub, Listener

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PATH = "/live/"
#: Seconds between two frames to one page at least: four in a second are as good as forty, and cost a tenth.
_PACE = 0.25
#: Seconds after which a page that is told nothing gets a sign of life.
_SIGN_OF_LIFE = 15.0
#: Seconds between two looks at whether somebody may still listen.
_LOOK_AGAIN = 15.0


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
        viewer = await self._hub.ask(viewers.find, headers)
        if viewer is None:
            await _refuse(send, HTTPStatus.FORBIDDEN)
            return
        with self._hub.joined(viewer) as listener:
            closed = asyncio.create_task(_closed(receive))
            telling = asyncio.create_task(self._tell(listener, send))
            watching = asyncio.create_task(self._until_forbidden(listener))
            tasks = {closed, telling, watching}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if not closed.done() or closed.cancelled():
            with contextlib.suppress(OSError):
                await send({"type": "http.response.body", "body": b""})

    async def _tell(self, listener: Listener, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": HTTPStatus.OK,
                "headers": [
                    (b"content-type", b"text/event-stream; charset=utf-8"),
                    (b"cache-control", b"no-store"),
                    # A proxy in between must not gather what is meant for now.
                    (b"x-accel-buffering", b"no"),
                ],
            }
        )
        while True:
            frame = await listener.take(_SIGN_OF_LIFE)
            text = f"data: {frame.as_json()}\n\n" if frame is not None else ": \n\n"
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            await asyncio.sleep(_PACE)

    async def _until_forbidden(self, listener: Listener) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            viewer = await self._hub.ask(viewers.still, listener.viewer)
            if viewer is None:
                return
            listener.viewer = viewer


async def _closed(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send, status: HTTPStatus) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": status.phrase.encode()})

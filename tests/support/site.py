"""The portal behind a real ASGI server, in a thread of the test's own process and on the test's own database."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from django.core.asgi import get_asgi_application

from tests.support.waiting import wait_until
from vms.live.stream import PATH as STREAM_PATH


@contextmanager
def serving(application: Any = None) -> Iterator[str]:
    """Serve the portal's pages, or `application`, and yield the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        free.listen(64)
        config = uvicorn.Config(
            application or get_asgi_application(),
            lifespan="off",
            log_level="warning",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [free]}, name="uvicorn")
        thread.start()
        try:
            wait_until(lambda: server.started, "the web server had started")
            yield f"http://127.0.0.1:{free.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)
            assert not thread.is_alive()


def with_silent_stream() -> Any:
    """Return the pages with a stream that stands and tells nothing: they stay as they were opened."""
    pages = get_asgi_application()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != STREAM_PATH:
            await pages(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b'data: {"lost": false}\n\n', "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    return application

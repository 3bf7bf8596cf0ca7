"""The web server's entry point."""

import os
import resource
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

pages = get_asgi_application()

from django.conf import settings  # noqa: E402  (Django must be set up first)
from django.db import connections  # noqa: E402

# Each request has a thread of its own, which ends with it: a connection kept open would be of no use to any other, and
# be left behind until the garbage is collected.
for database in connections.settings.values():
    database["CONN_MAX_AGE"] = 0

from vms.console.proxy import Console  # noqa: E402
from vms.live.hub import Hub  # noqa: E402
from vms.live.stream import PATH as STREAM_PATH  # noqa: E402
from vms.live.stream import Stream  # noqa: E402
from vms.tickets import SOCKET_PATH  # noqa: E402

# Every open page is a file to the system, which lets a process have 1024 unless it asks for what it may have.
_OPEN_FILES = 65_536
_, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(
    resource.RLIMIT_NOFILE, (_OPEN_FILES if _most == resource.RLIM_INFINITY else min(_most, _OPEN_FILES), _most)
)

stream = Stream(Hub())
console = Console()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request: the stream by itself, everything else by Django."""
    if scope["type"] == "http" and scope["path"] == STREAM_PATH:
        await stream(scope, receive, send)
    elif scope["type"] == "websocket" and scope["path"] == SOCKET_PATH:
        await console(scope, receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})  # before it is accepted: HTTP 403
    else:
        await pages(scope, receive, send)


# No management command runs here, so nobody else would look at the checks.
settings.PORTAL_CONFIG.require()

"""The page that answers a request which failed."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults

#: Seconds after which a client may try again while the database is away.
RETRY_AFTER = 5


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 503 where the database is away or locked, else 500. Neither page needs the database."""
    if not isinstance(sys.exception(), OperationalError | InterfaceError):
        return defaults.server_error(request)
    # Without the request, and so without context processors: they ask the database who is logged in.
    answer = render(None, "503.html", status=503)
    answer["Retry-After"] = str(RETRY_AFTER)
    return answer

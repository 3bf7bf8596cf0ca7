"""How addresses under /ovirt-engine are read: no redirect ever, with and without a slash at the end.

Clients follow no redirect. They write `/api//vms` and `/api/vms/`, and older ones parameters as `/vms;max=1`.
Source: REST contract, 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote_plus

from django.http import HttpRequest, HttpResponse

PREFIX = "/ovirt-engine"
_API = f"{PREFIX}/api"


class PathMiddleware:
    """Bring an address under /ovirt-engine to the one spelling that the URLs are written in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        if request.path_info.startswith(f"{PREFIX}/"):
            _straighten(request)
        return self.get_response(request)


def _straighten(request: HttpRequest) -> None:
    path = re.sub("/{2,}", "/", request.path_info).rstrip("/")
    path, matrix = _without_matrix(path)
    if matrix:
        query = str(request.META.get("QUERY_STRING", ""))
        request.META["QUERY_STRING"] = "&".join(part for part in (query, matrix) if part)
    # A client that says in the path which version it speaks.
    path = re.sub(rf"^{_API}/v4(?=/|$)", _API, path)
    request.path_info = path


def _without_matrix(path: str) -> tuple[str, str]:
    """Take the parameters off the segments: `/vms;max=1;next_run` is `/vms` and `max=1&next_run=`."""
    segments, parameters = [], []
    for segment in path.split("/"):
        name, *found = segment.split(";")
        segments.append(name)
        parameters += [parameter.partition("=") for parameter in found if parameter]
    return "/".join(segments), "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, _, value in parameters)

"""The portal's addresses, and beside them requests that fail in each way that has a page of its own."""

from __future__ import annotations

from typing import Never

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest
from django.urls import path

from portal import urls

handler500 = urls.handler500

_ERRORS: dict[int, Exception] = {
    400: SuspiciousOperation("sample"),
    403: PermissionDenied("sample"),
    500: RuntimeError("sample"),
    503: OperationalError("sample"),
}


def fail(_request: HttpRequest, status: int) -> Never:
    """Fail so that the portal answers with `status`."""
    raise _ERRORS[status]


urlpatterns = [path("fails/<int:status>/", fail, name="fails"), *urls.urlpatterns]

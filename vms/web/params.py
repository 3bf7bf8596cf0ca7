"""Reading an address's query. Filters are links that people share: nonsense in one is refused, not ignored."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import BadRequest
from django.http import HttpRequest


def uuid_param(request: HttpRequest, name: str) -> UUID | None:
    """Return an id; None where there is none.

    Raises:
        BadRequest: It is no id.
    """
    value = request.GET.get(name, "")
    if not value:
        return None
    try:
        return UUID(value)
    except ValueError:
        raise BadRequest(f"{name} is not an id") from None

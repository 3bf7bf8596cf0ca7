"""One id through a request, what it asks for, the events of that, and the lines of the logs."""

from __future__ import annotations

import re
import uuid

from structlog.contextvars import bind_contextvars, get_contextvars

_LONGEST = 36
_UNFIT = re.compile(r"[^0-9A-Za-z_-]")


def correlation_id() -> str:
    """Return the id of the request being answered, from now on also in what is logged."""
    found = str(get_contextvars().get("request_id", ""))
    if not 0 < len(found) <= _LONGEST:
        found = str(uuid.uuid4())
    bind_contextvars(correlation_id=found)
    return found


def adopt(chosen: str) -> str:
    """Take the id that a client has chosen, without what no id has in it; the request's own where nothing is left."""
    if fit := _UNFIT.sub("", chosen)[:_LONGEST]:
        bind_contextvars(request_id=fit)
    return correlation_id()

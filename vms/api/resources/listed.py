"""What all collections have in common."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.response import Response

from vms.api.faults import NotFound
from vms.api.forms import Document

M = TypeVar("M", bound=Model)

#: History grows without end, and no client wants all of it: its lists are of the newest of so many at most.
MOST_OF_HISTORY = 5000


def done() -> Response:
    """Answer that what was asked for is done, where there is nothing to show of it."""
    return Response(Document("action", {"status": "complete"}))


def found(rows: QuerySet[M], **wanted: Any) -> M:
    """Return the one row that is wanted.

    Raises:
        NotFound: It is not among those that the person may see.
    """
    row = rows.filter(**wanted).first()
    if row is None:
        raise NotFound("There is no such object.")
    return row

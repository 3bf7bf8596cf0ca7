"""What all collections have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from vms.api.endpoint import Endpoint
from vms.api.faults import NotFound
from vms.api.forms import Document

M = TypeVar("M", bound=Model)

#: History grows without end, and no client wants all of it: its lists are of the newest of so many at most.
MOST_OF_HISTORY = 5000


class Listed(Endpoint):
    """A collection.

    Attributes:
        most: So many of its rows are shown at most, where it has a limit.
    """

    most: int | None = None

    def rows(self) -> QuerySet[Any] | Sequence[Any]:
        """Return all of its rows that the person may see, in the order in which they are listed."""
        raise NotImplementedError

    def shown(self, rows: Iterable[Any]) -> Iterable[Any]:
        """Return what is shown of rows."""
        return rows

    def get(self, request: Request, **_above: str) -> Response:
        """List them."""
        limits = [limit for limit in (self.whole("max"), self.most) if limit is not None]
        rows = self.rows()
        return self.many(self.shown(rows[: min(limits)] if limits else rows))


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

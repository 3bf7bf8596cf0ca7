"""What all collections have in common: a search, an order, and how many are wanted. Source: REST contract, 9."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from vms.api.endpoint import Endpoint
from vms.api.faults import Invalid
from vms.api.searching import Columns, Texts
from vms.domain.api_search import SearchError, parse

#: How many are on a page that is asked for without saying how many, and how many at most.
PAGE_SIZE, LARGEST_PAGE = 100, 100_000


class Collection(Endpoint):
    """A collection.

    Attributes:
        searched: The fields that searches may name; None where a search counts for nothing.
        counter: The column that `from` begins after; None where it counts for nothing.
        most: So many are shown at most, where there is a limit.
    """

    searched: ClassVar[Columns | Texts[Any] | None] = None
    counter: ClassVar[str | None] = None
    most: ClassVar[int | None] = None

    def rows(self) -> Any:
        """Return all that the person may see, in the order in which they are listed: a QuerySet or a sequence."""
        raise NotImplementedError

    def sources(self, rows: Any) -> Any:
        """Return the objects that are shown of rows, by a constant number of queries."""
        return rows

    def get(self, request: Request, **_above: str) -> Response:
        """List those that are wanted."""
        rows = self.rows()
        if self.counter and (last := self.whole("from")) is not None:
            rows = rows.filter(**{f"{self.counter}__gt": last})
        found, page = self._found(rows)
        return self.many(self.sources(found[self._cut(page)]))

    def _found(self, rows: Any) -> tuple[Any, int | None]:
        """Return those that are searched for, in the order that is wanted, and the number of the page that is."""
        if self.searched is None:
            return rows, None
        try:
            search = parse(self.request.query_params.get("search", ""))
            return self.searched.found(rows, search, sensitive=self.flag("case_sensitive")), search.page
        except SearchError as error:
            raise Invalid(f"[{error}]") from None

    def _cut(self, page: int | None) -> slice:
        limits = [limit for limit in (self.whole("max"), self.most) if limit is not None]
        if page is None:
            return slice(min(limits, default=None))
        size = min([*limits, LARGEST_PAGE]) if limits else PAGE_SIZE
        return slice((page - 1) * size, page * size)

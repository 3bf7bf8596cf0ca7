"""What a search asks of rows, by a table of the fields that they have. Source: REST contract, 9."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import Any, Generic, TypeVar

from django.db.models import Case, Model, Q, QuerySet

from vms.api.search_kinds import NOTHING, Field, Text, anywhere, only_same
from vms.domain.api_search import Condition, Operator, Search, SearchError, Sort, matches

M = TypeVar("M", bound=Model)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Columns:
    """The fields of rows in the database, by the names that searches call them by."""

    fields: Mapping[str, Field]

    def found(self, rows: QuerySet[M], search: Search, *, sensitive: bool) -> QuerySet[M]:
        """Return the rows that a search wants, in its order.

        Raises:
            SearchError: It asks for what there is not.
        """
        if search.alternatives:
            either = [
                reduce(and_, [self._where(condition, sensitive) for condition in conditions])
                for conditions in search.alternatives
            ]
            rows = rows.filter(reduce(or_, either))
        return rows if search.sort is None else rows.order_by(*self._order(search.sort), *_own_order(rows), "pk")

    def _where(self, condition: Condition, sensitive: bool) -> Q:
        if condition.name:
            return _named(self.fields, condition).where(condition, sensitive=sensitive)
        texts = [known for known in self.fields.values() if isinstance(known, Text)]
        return reduce(or_, [text.holds(condition.value, sensitive=sensitive) for text in texts], NOTHING)

    def _order(self, sort: Sort) -> list[Any]:
        order = _named(self.fields, sort).order
        if order is None:
            raise SearchError(sort.position, f"nothing is sorted by `{sort.name}`. Sort by another field.")
        if isinstance(order, Case):
            return [order.desc() if sort.descending else order.asc()]
        return [f"-{column}" if sort.descending else column for column in order]


def _own_order(rows: QuerySet[Any]) -> Sequence[Any]:
    return rows.query.order_by or rows.query.get_meta().ordering or ()


@dataclass(frozen=True, slots=True)
class Texts(Generic[T]):
    """The same for what is in no table: the texts of each object, by the names that searches call them by."""

    fields: Mapping[str, Callable[[T], Iterable[str]]]

    def found(self, rows: Sequence[T], search: Search, *, sensitive: bool) -> Sequence[T]:
        """Return the objects that a search wants, in its order.

        Raises:
            SearchError: It asks for what there is not.
        """
        if search.alternatives:
            tests = [[self._test(condition, sensitive) for condition in each] for each in search.alternatives]
            rows = [row for row in rows if any(all(test(row) for test in each) for each in tests)]
        if search.sort is None:
            return rows
        texts = _named(self.fields, search.sort)
        return sorted(rows, key=lambda row: sorted(map(str.casefold, texts(row))), reverse=search.sort.descending)

    def _test(self, condition: Condition, sensitive: bool) -> Callable[[T], bool]:
        only_same(condition)
        if condition.name:
            known, pattern = [_named(self.fields, condition)], condition.value
        else:
            known = list(self.fields.values())
            pattern = anywhere(condition.value)
        wanted = condition.operator is Operator.EQUAL

        def test(row: T) -> bool:
            found = (matches(pattern, text, sensitive=sensitive) for texts in known for text in texts(row))
            return any(found) is wanted

        return test


def _named(fields: Mapping[str, T], by: Condition | Sort) -> T:
    if by.name not in fields:
        raise SearchError(by.position, f"there is no field `{by.name}`. There are {', '.join(fields)}.")
    return fields[by.name]

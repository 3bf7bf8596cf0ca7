"""The kinds of fields that rows have in searches: which rows meet a condition, and what they are sorted by.

Equality without `*` is exact, in any case unless capital letters are to differ from small ones.
Source: REST contract, 9.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Case, Manager, Q, When
from django.utils import timezone

# Its lookups are asked by their names.
from vms.api import wildcards  # noqa: F401
from vms.api.declare import flag
from vms.domain.api_search import Condition, Operator, SearchError, matches, span

NOTHING = Q(pk__in=[])
#: Not an empty condition: Django drops those from what they are joined with, `or` included.
EVERYTHING = ~NOTHING

_LOOKUPS = {Operator.ABOVE: "gt", Operator.BELOW: "lt", Operator.AT_LEAST: "gte", Operator.AT_MOST: "lte"}
_SAME = (Operator.EQUAL, Operator.DIFFERENT)

#: What rows are sorted by: columns, or one expression.
Order = tuple[str, ...] | Case


class Field(Protocol):
    """One field of a table."""

    def where(self, condition: Condition, *, sensitive: bool) -> Q:
        """Return which rows meet a condition.

        Raises:
            SearchError: The field can never be compared so.
        """

    @property
    def order(self) -> Order | None:
        """What it is sorted by, ascending; None where it cannot be."""


def _wrong(condition: Condition, what: str) -> SearchError:
    return SearchError(condition.position, f"`{condition.name}` {what}")


def only_same(condition: Condition) -> None:
    """Refuse to compare by less and more.

    Raises:
        SearchError: That is asked for.
    """
    if condition.operator not in _SAME:
        raise _wrong(condition, "is compared by = and != only.")


def anywhere(word: str) -> str:
    """Return the pattern of what holds a word; one that has wildcards of its own says itself where."""
    return word if "*" in word else f"*{word}*"


def _either(condition: Condition, found: Q) -> Q:
    """Return what equality finds, or everything else."""
    only_same(condition)
    return found if condition.operator is Operator.EQUAL else ~found


@dataclass(frozen=True, slots=True)
class Text:
    """A column of text. A word alone is looked for in it.

    Attributes:
        means: What is looked for, of what clients write.
    """

    column: str
    means: Callable[[str], str] = str

    def where(self, condition: Condition, *, sensitive: bool) -> Q:
        """Return which rows have, or have not, the text."""
        return _either(condition, self.like(self.means(condition.value), sensitive=sensitive))

    def like(self, pattern: str, *, sensitive: bool) -> Q:
        """Return which rows have the text, and no more."""
        lookup = ("" if sensitive else "i") + ("wildcards" if "*" in pattern else "exact")
        return Q(**{f"{self.column}__{lookup}": pattern})

    def holds(self, word: str, *, sensitive: bool) -> Q:
        """Return which rows have a word in the text."""
        return self.like(anywhere(self.means(word)), sensitive=sensitive)

    @property
    def order(self) -> Order | None:
        """The column."""
        return (self.column,)


@dataclass(frozen=True, slots=True)
class AnyOf(Text):
    """Text of what a row has several of. Asked apart, so that a row that matches twice is still one row.

    Attributes:
        rows: All there are.
    """

    rows: Manager[Any] = field(kw_only=True)

    def like(self, pattern: str, *, sensitive: bool) -> Q:
        """Return which rows have at least one such text."""
        # Not by super(): a dataclass with slots is made anew, and that is another class than the one written here.
        found = Text.like(self, pattern, sensitive=sensitive)
        return Q(pk__in=self.rows.filter(found).values("pk"))

    @property
    def order(self) -> Order | None:
        """None: which of them would it be?"""
        return None


@dataclass(frozen=True, slots=True)
class Word:
    """One of some words.

    Attributes:
        words: Where each holds. From the least to the most where they have an order.
        by: The column that rows are sorted by; None where the words have an order, and compare by < and >.
    """

    words: Mapping[str, Q]
    by: str | None = None

    def where(self, condition: Condition, *, sensitive: bool) -> Q:
        """Return which rows have one of the words that are meant."""
        wanted = _joined(condition.value)
        named = [word for word in self.words if matches(wanted, _joined(word))]
        if not named and "*" not in wanted:
            raise _wrong(condition, f"is one of {', '.join(self.words)}.")
        if condition.operator in _SAME:
            return _either(condition, self._one_of(named))
        if self.by is not None or len(named) != 1:
            only_same(condition)
        words = list(self.words)
        place = words.index(named[0])
        behind = place + (condition.operator in (Operator.ABOVE, Operator.AT_MOST))
        upwards = condition.operator in (Operator.ABOVE, Operator.AT_LEAST)
        return self._one_of(words[behind:] if upwards else words[:behind])

    def _one_of(self, named: Iterable[str]) -> Q:
        return reduce(or_, [self.words[word] for word in named], NOTHING)

    @property
    def order(self) -> Order | None:
        """The column, or the words' own order."""
        if self.by is not None:
            return (self.by,)
        return Case(*(When(where, then=place) for place, where in enumerate(self.words.values())))


def words_of(column: str, words: Iterable[str]) -> dict[str, Q]:
    """Return where each of a column's words holds."""
    return {word: Q(**{column: word}) for word in words}


def _joined(words: str) -> str:
    """Return words as one: clients write `powering_up` and `PoweringUp`."""
    return re.sub(r"[\s_-]", "", words)


@dataclass(frozen=True, slots=True)
class Whole:
    """A column of whole numbers."""

    column: str

    def where(self, condition: Condition, *, sensitive: bool) -> Q:
        """Return which rows have such a number."""
        text = condition.value
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise _wrong(condition, "is a whole number.")
        if condition.operator in _SAME:
            return _either(condition, Q(**{self.column: int(text)}))
        return Q(**{f"{self.column}__{_LOOKUPS[condition.operator]}": int(text)})

    @property
    def order(self) -> Order | None:
        """The column."""
        return (self.column,)


@dataclass(frozen=True, slots=True)
class Moment:
    """A column of times.

    Attributes:
        then: What tells rows of the very same time apart, in the order in which they came.
    """

    column: str
    then: str = "pk"

    def where(self, condition: Condition, *, sensitive: bool) -> Q:
        """Return which rows are of the day, minute or second that is named, before it or after it."""
        try:
            start, end = span(condition.value, timezone.localtime())
        except ValueError:
            raise _wrong(condition, 'is a time, as "2026-01-31", "2026-01-31 12:00", today or yesterday.') from None
        since, before = Q(**{f"{self.column}__gte": start}), Q(**{f"{self.column}__lt": start})
        until, after = Q(**{f"{self.column}__lt": end}), Q(**{f"{self.column}__gte": end})
        return {
            Operator.EQUAL: since & until,
            Operator.DIFFERENT: before | after,
            Operator.ABOVE: after,
            Operator.BELOW: before,
            Operator.AT_LEAST: since,
            Operator.AT_MOST: until,
        }[condition.operator]

    @property
    def order(self) -> Order | None:
        """The column, and what follows it."""
        return (self.column, self.then)


@dataclass(frozen=True, slots=True)
class Id:
    """A column of ids, which are compared as a whole.

    Attributes:
        key: What is stored, of what clients write. It raises ValueError for what is no id.
    """

    column: str
    key: Callable[[str], object] = UUID

    def where(self, condition: Condition, *, sensitive: bool) -> Q:
        """Return the row that has it, or all others."""
        try:
            key = self.key(condition.value)
        except ValueError:
            raise _wrong(condition, "is a whole id, without wildcards.") from None
        return _either(condition, Q(**{self.column: key}))

    @property
    def order(self) -> Order | None:
        """The column."""
        return (self.column,)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is so or not.

    Attributes:
        so: Where it is.
        by: The column that it is sorted by.
    """

    so: Q
    by: str

    def where(self, condition: Condition, *, sensitive: bool) -> Q:
        """Return the rows where it is as wanted."""
        return _either(condition, self.so if flag(condition.value, condition.name) else ~self.so)

    @property
    def order(self) -> Order | None:
        """What it follows from."""
        return (self.by,)


@dataclass(frozen=True, slots=True)
class Same:
    """What is the same of all rows; None where it is unset of all."""

    text: str | None = None

    def where(self, condition: Condition, *, sensitive: bool) -> Q:
        """Return all rows or none."""
        only_same(condition)
        equal = self.text is not None and matches(condition.value, self.text, sensitive=sensitive)
        return EVERYTHING if equal is (condition.operator is Operator.EQUAL) else NOTHING

    @property
    def order(self) -> Order | None:
        """Nothing: each order is right."""
        return ()

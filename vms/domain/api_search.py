"""The authority on the search language of the API: `name=web* and status=up sortby name desc page 2`.

A search is made of conditions, a field to sort by and a page, each of which may be missing. `and` binds before `or`;
there are no brackets. What a field means is judged by whoever knows the rows. Source: REST contract, 9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NoReturn

#: Characters and conditions that a search may have at most: databases have limits of their own, and no manners.
LONGEST, MOST_CONDITIONS = 4000, 50

_BLANKS = re.compile(r"\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
_BARE = re.compile(r'[^\s"]\S*')
_WORD = re.compile(r'(?:[^\s"=<>!]|!(?!=))+')
_OPERATOR = re.compile(r"!=|>=|<=|=|>|<")
# A word that an operator follows is a field, whatever it is called.
_KEYWORD = re.compile(r"(and|or|sortby|page)(?!\S)(?!\s*(?:!=|[=<>]))", re.IGNORECASE)
_DIRECTION = re.compile(r"(asc|desc)(?!\S)", re.IGNORECASE)
_PAGE = re.compile(r"[0-9]{1,9}(?!\S)")

_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.(\d{1,6}))?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII | re.IGNORECASE
)


class SearchError(ValueError):
    """A search that cannot be understood; its text says where, what is wrong and what to do.

    Attributes:
        position: Of the character where it goes wrong, from 0.
    """

    def __init__(self, position: int, what: str) -> None:
        super().__init__(f"Character {position + 1} of the search: {what}")
        self.position = position


class Operator(StrEnum):
    """How a field and a value are to compare."""

    EQUAL = "="
    DIFFERENT = "!="
    ABOVE = ">"
    BELOW = "<"
    AT_LEAST = ">="
    AT_MOST = "<="


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition.

    Attributes:
        name: Of the field, in small letters; empty for a word alone, which any text may hold.
        value: What it is compared with; `*` in it stands for any text.
        position: Where in the search it begins, from 0.
    """

    name: str
    operator: Operator
    value: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Sort:
    """What the rows are sorted by."""

    name: str
    descending: bool = False
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Search:
    """A search, taken apart.

    Attributes:
        alternatives: Of which one must hold, with all of its conditions; none where everything is wanted.
        page: Its number, from 1.
    """

    alternatives: tuple[tuple[Condition, ...], ...] = ()
    sort: Sort | None = None
    page: int | None = None


def parse(text: str) -> Search:
    """Take a search apart.

    Raises:
        SearchError: It cannot be understood.
    """
    if len(text) > LONGEST:
        raise SearchError(LONGEST, f"it is longer than {LONGEST} characters. Search for less at a time.")
    if "\0" in text:
        raise SearchError(text.index("\0"), "there is a character that nothing is called by. Leave it out.")
    return _Reader(text).search()


class _Reader:
    """Reads a search from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def search(self) -> Search:
        """Read all of it."""
        search = Search(self._alternatives(), self._sort(), self._page())
        self._skip_blanks()
        if self.at < len(self.text):
            if search.sort is None and search.page is None:
                self._wrong("`and` or `or` is missing before this. A value with blanks in it wants quotation marks.")
            self._wrong("nothing may follow here. The order is: conditions, `sortby FIELD`, `page NUMBER`.")
        return search

    def _alternatives(self) -> tuple[tuple[Condition, ...], ...]:
        self._skip_blanks()
        if self.at == len(self.text) or self._keyword_ahead() in ("sortby", "page"):
            return ()
        found, count = [[self._condition()]], 1
        while connective := self._keyword("and", "or"):
            if (count := count + 1) > MOST_CONDITIONS:
                self._wrong(f"there are more than {MOST_CONDITIONS} conditions. Search for less at a time.")
            if connective == "or":
                found.append([])
            found[-1].append(self._condition())
        return tuple(tuple(conditions) for conditions in found)

    def _condition(self) -> Condition:
        self._skip_blanks()
        start = self.at
        if self.text.startswith('"', start):
            return Condition("", Operator.EQUAL, self._quoted(), start)
        word = None if self._keyword_ahead() else self._take(_WORD)
        if word is None:
            self._wrong("a condition is missing. Write FIELD=VALUE, or a word in quotation marks.")
        self._skip_blanks()
        operator = self._take(_OPERATOR)
        if operator is None:
            return Condition("", Operator.EQUAL, word[0], start)
        return Condition(word[0].lower(), Operator(operator[0]), self._value(), start)

    def _value(self) -> str:
        self._skip_blanks()
        if self.text.startswith('"', self.at):
            return self._quoted()
        value = self._take(_BARE)
        if value is None:
            self._wrong('a value is missing. Write "" for an empty one.')
        return value[0]

    def _quoted(self) -> str:
        value = self._take(_QUOTED)
        if value is None:
            self._wrong('this quotation mark is not closed. Write `"` behind the value.')
        return _ESCAPED.sub(r"\1", value[1])

    def _sort(self) -> Sort | None:
        if not self._keyword("sortby"):
            return None
        self._skip_blanks()
        start = self.at
        name = None if self._keyword_ahead() else self._take(_WORD)
        if name is None:
            self._wrong("the field to sort by is missing. Write `sortby FIELD`, and `desc` behind it for descending.")
        self._skip_blanks()
        direction = self._take(_DIRECTION)
        return Sort(name[0].lower(), direction is not None and direction[0].lower() == "desc", start)

    def _page(self) -> int | None:
        if not self._keyword("page"):
            return None
        self._skip_blanks()
        number = self._take(_PAGE)
        if number is None or int(number[0]) == 0:
            self._wrong("the number of the page is missing. Write `page 1` for the first.", back=number)
        return int(number[0])

    def _keyword_ahead(self) -> str | None:
        found = _KEYWORD.match(self.text, self.at)
        return found[1].lower() if found else None

    def _keyword(self, *wanted: str) -> str | None:
        self._skip_blanks()
        found = self._keyword_ahead()
        if found not in wanted:
            return None
        self.at += len(found)
        return found

    def _skip_blanks(self) -> None:
        self._take(_BLANKS)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def _wrong(self, what: str, back: re.Match[str] | None = None) -> NoReturn:
        raise SearchError(back.start() if back else self.at, what)


def matches(pattern: str, text: str, *, sensitive: bool = False) -> bool:
    """Say whether a text is what a value says, with `*` for any text.

    Args:
        sensitive: Capital letters differ from small ones.
    """
    if not sensitive:
        pattern, text = pattern.casefold(), text.casefold()
    first, *others = pattern.split("*")
    if not others:
        return text == first
    *middle, last = others
    at, end = len(first), len(text) - len(last)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def span(text: str, now: datetime) -> tuple[datetime, datetime]:
    """Return from when until when it is what a value names: `today`, a day, a minute, a second.

    Args:
        now: Tells which day is today, and the zone of times that name none.

    Raises:
        ValueError: It names no time.
    """
    word = text.strip().lower()
    if word in ("today", "yesterday"):
        text = str(now.date() - timedelta(days=int(word == "yesterday")))
    named = _MOMENT.fullmatch(text.strip())
    if named is None:
        raise ValueError(text)
    day, clock, seconds, fraction, zone = named.groups()
    start = datetime.fromisoformat(f"{day}T{clock or '00:00'}{seconds or ''}{zone or ''}".upper())
    # Beyond these, no zone's clock can be told in another's.
    if not 1970 <= start.year <= 9000:
        raise ValueError(text)
    lasts = timedelta(seconds=1) / 10 ** len(fraction or "")
    if not seconds:
        lasts = timedelta(minutes=1) if clock else timedelta(days=1)
    start = start if start.tzinfo else start.replace(tzinfo=now.tzinfo)
    return start, start + lasts

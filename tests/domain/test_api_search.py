"""The API's search language: taken apart as it is written, or refused with the place and a way out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vms.domain.api_search import (
    LONGEST,
    MOST_CONDITIONS,
    Condition,
    Operator,
    Search,
    SearchError,
    Sort,
    matches,
    parse,
    span,
)

EQUAL = Operator.EQUAL


def _all(*conditions: tuple[str, str, str]) -> tuple[Condition, ...]:
    return tuple(Condition(name, Operator(operator), value) for name, operator, value in conditions)


def test_nothing_asks_for_everything() -> None:
    assert parse("") == parse("  \t ") == Search()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name=web*", Search((_all(("name", "=", "web*")),))),
        ('name="web01"', Search((_all(("name", "=", "web01")),))),
        ('name="app 01" and status=down', Search((_all(("name", "=", "app 01"), ("status", "=", "down")),))),
        ("tag=prod", Search((_all(("tag", "=", "prod")),))),
        ("severity>normal sortby time desc", Search((_all(("severity", ">", "normal")),), Sort("time", True))),
        (
            "type=163 or type=196 sortby time desc",
            Search((_all(("type", "=", "163")), _all(("type", "=", "196"))), Sort("time", True)),
        ),
        ("sortby time asc", Search(sort=Sort("time"))),
        ("vm.name=db01", Search((_all(("vm.name", "=", "db01")),))),
        ("usrname=admin@internal-authz", Search((_all(("usrname", "=", "admin@internal-authz")),))),
    ],
)
def test_what_clients_were_heard_to_ask(text: str, found: Search) -> None:
    assert parse(text) == found


def test_and_binds_before_or() -> None:
    a, b, c, d = (Condition("x", EQUAL, value) for value in "abcd")
    assert parse("x=a or x=b and x=c or x=d").alternatives == ((a,), (b, c), (d,))


def test_keywords_and_fields_are_written_in_any_case() -> None:
    assert parse("NAME=a AND Status=b Or x=c SORTBY Time DESC Page 3") == parse(
        "name=a and status=b or x=c sortby time desc page 3"
    )


@pytest.mark.parametrize("operator", list(Operator))
@pytest.mark.parametrize("blanks", ["", " ", " \t "])
def test_operators_with_and_without_blanks(operator: Operator, blanks: str) -> None:
    assert parse(f"code{blanks}{operator}{blanks}5").alternatives == ((Condition("code", operator, "5"),),)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("web01", "web01"),
        ("web*", "web*"),
        ('"front office"', "front office"),
        ('"and"', "and"),
        ("android", "android"),
        ("hurry!", "hurry!"),
        ("größe", "größe"),
    ],
)
def test_a_word_alone_names_no_field(text: str, value: str) -> None:
    assert parse(text).alternatives == ((Condition("", EQUAL, value),),)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("description=a=b", "a=b"),
        ('description=it"s', 'it"s'),
        ('description=""', ""),
        ('description="say \\"hello\\""', 'say "hello"'),
        ('description="DOM\\user"', "DOM\\user"),
        ('description="ends \\\\"', "ends \\"),
        ("description=and", "and"),
        ('description="sortby time"', "sortby time"),
        ("description=100%_", "100%_"),
    ],
)
def test_values_are_what_stands_behind_the_operator(text: str, value: str) -> None:
    assert parse(text).alternatives == ((Condition("description", EQUAL, value),),)


def test_a_keyword_with_an_operator_behind_it_is_a_field() -> None:
    assert parse("page=3 and sortby = x page 2") == Search((_all(("page", "=", "3"), ("sortby", "=", "x")),), page=2)


@pytest.mark.parametrize(
    ("text", "position", "what"),
    [
        ('name="web', 5, "not closed"),
        ("name=", 5, "value is missing"),
        ("name= ", 6, "value is missing"),
        ("=web", 0, "condition is missing"),
        ("name=a and", 10, "condition is missing"),
        ("name=a and or status=b", 11, "condition is missing"),
        ("and name=a", 0, "condition is missing"),
        ("name=a status=up", 7, "`and` or `or` is missing"),
        ("name=front office", 11, "`and` or `or` is missing"),
        ("sortby", 6, "field to sort by"),
        ("sortby page 2", 7, "field to sort by"),
        ("name=a sortby time down", 19, "nothing may follow"),
        ("page 2 sortby name", 7, "nothing may follow"),
        ("page", 4, "`page 1`"),
        ("page 0", 5, "`page 1`"),
        ("page two", 5, "`page 1`"),
        ("page -1", 5, "`page 1`"),
        ("name=a\0b", 6, "character"),
    ],
)
def test_what_cannot_be_understood_is_refused_where_it_goes_wrong(text: str, position: int, what: str) -> None:
    with pytest.raises(SearchError) as refused:
        parse(text)
    assert refused.value.position == position
    assert str(refused.value).startswith(f"Character {position + 1} of the search: ")
    assert what in str(refused.value)


def test_a_search_has_limits() -> None:
    assert len(parse(" or ".join(["x=1"] * MOST_CONDITIONS)).alternatives) == MOST_CONDITIONS
    with pytest.raises(SearchError, match="more than"):
        parse(" and ".join(["x=1"] * (MOST_CONDITIONS + 1)))
    parse("x" * LONGEST)
    with pytest.raises(SearchError, match="longer than"):
        parse("x" * (LONGEST + 1))


_PIECES = st.sampled_from([*'"\\*=><!1é\0 ', "!=", "<=", "and", "or", "sortby", "page", "asc", "desc", "name"])


@given(st.text(max_size=80) | st.lists(_PIECES, max_size=20).map("".join))
@example('"\\')
@example("!")
def test_whatever_is_written_is_taken_apart_or_refused(text: str) -> None:
    try:
        places = [condition.position for each in parse(text).alternatives for condition in each]
    except SearchError as error:
        places = [error.position]
    assert all(0 <= place <= len(text) for place in places)


_NAMES = st.from_regex(r"[a-z][a-z_]{0,9}(\.[a-z]{1,5})?", fullmatch=True)
_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_NAMED = st.builds(Condition, _NAMES, st.sampled_from(Operator), _VALUES)
_ALONE = st.builds(Condition, st.just(""), st.just(EQUAL), _VALUES)
_SEARCHES = st.builds(
    Search,
    st.lists(st.lists(_NAMED | _ALONE, min_size=1, max_size=4).map(tuple), max_size=4).map(tuple),
    st.none() | st.builds(Sort, _NAMES.filter(lambda name: name not in ("and", "or", "page", "sortby")), st.booleans()),
    st.none() | st.integers(1, 10**9 - 1),
)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _written(search: Search) -> str:
    """Write a search, every value in quotation marks."""

    def condition(one: Condition) -> str:
        return f"{one.name}{one.operator}{_quoted(one.value)}" if one.name else _quoted(one.value)

    either = [" and ".join(map(condition, each)) for each in search.alternatives]
    parts = [" or ".join(either)] if either else []
    if search.sort:
        parts.append(f"sortby {search.sort.name}{' desc' * search.sort.descending}")
    if search.page:
        parts.append(f"page {search.page}")
    return " ".join(parts)


@given(_SEARCHES)
def test_what_is_written_down_is_read_as_the_same(search: Search) -> None:
    assert parse(_written(search)) == search


# Values.


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("web0", "web01", False),
        ("web0", "WEB0", True),
        ("web*", "web01", True),
        ("*01", "web01", True),
        ("w*b*1", "web01", True),
        ("a*a", "a", False),
        ("*", "", True),
        ("", "", True),
        ("", "x", False),
        ("web?1", "web01", False),
        ("web%", "web01", False),
    ],
)
def test_the_star_is_the_only_wildcard(pattern: str, text: str, found: bool) -> None:
    assert matches(pattern, text) is found


def test_capital_letters_differ_only_where_they_are_to() -> None:
    assert matches("Web*", "web01")
    assert not matches("Web*", "web01", sensitive=True)


_FEW = st.text("ab*", max_size=8)


@given(_FEW, _FEW)
def test_a_pattern_matches_what_the_regular_expression_does(pattern: str, text: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL)
    assert matches(pattern, text) is (expected is not None)


NOW = datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("text", "start", "seconds"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+02:00", 86400),
        ("Today", "2026-03-01T00:00:00+02:00", 86400),
        ("yesterday", "2026-02-28T00:00:00+02:00", 86400),
        ("2026-01-31 12:30", "2026-01-31T12:30:00+02:00", 60),
        ("2026-01-31T12:30:05", "2026-01-31T12:30:05+02:00", 1),
        ("2026-01-31t12:30:05.250z", "2026-01-31T12:30:05.250+00:00", 0.001),
        ("2026-01-31T12:30:05.25-03:30", "2026-01-31T12:30:05.250-03:30", 0.01),
    ],
)
def test_a_time_lasts_as_long_as_it_is_precise(text: str, start: str, seconds: float) -> None:
    began = datetime.fromisoformat(start)
    assert span(text, NOW) == (began, began + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026", "2026-13-01", "2026-02-30", "2026-01-01 25:00", "0001-01-01", "9999-12-31", "٢٠٢٦-01-01"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (in Python's own words, where those of a calendar are wrong)
        span(text, NOW)


@given(st.text(max_size=30) | st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[+-]\d\d:\d\d", fullmatch=True))
def test_whatever_is_written_is_a_time_or_is_not(text: str) -> None:
    try:
        start, end = span(text, datetime.now(UTC))
    except ValueError:
        return
    # Both can be told in any zone's clock.
    assert start.astimezone(timezone(timedelta(hours=-23))) < end.astimezone(timezone(timedelta(hours=23)))

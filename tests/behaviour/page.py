"""Makes the page about the rows of behaviour from what runs wrote down."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.behaviour.plugin import Shown
from tests.behaviour.rows import ROWS

_CHECKOUT = Path(__file__).parents[2]


def read(directory: Path) -> list[Shown]:
    """Return the tests of all runs that wrote to a directory."""
    return [Shown(**fields) for path in directory.glob("*.json") for fields in json.loads(path.read_text())]


def not_shown(tests: Iterable[Shown]) -> list[int]:
    """Return the rows that no test that passed shows."""
    shown = {row for test in tests if test.passed for row in test.rows}
    return [row for row in ROWS if row not in shown]


@dataclass(frozen=True, slots=True)
class _Function:
    """A test function with all its cases."""

    path: str
    name: str
    cases: int
    guest: bool
    failed: int


def _functions(tests: Iterable[Shown]) -> list[_Function]:
    cases: dict[tuple[str, str], list[Shown]] = {}
    for test in tests:
        path, _, rest = test.nodeid.partition("::")
        cases.setdefault((path, rest.partition("[")[0]), []).append(test)
    return [
        _Function(path, name, len(found), any(case.guest for case in found), sum(not case.passed for case in found))
        for (path, name), found in sorted(cases.items())
    ]


def render(tests: list[Shown], place: Path) -> str:
    """Return the page, in Markdown.

    Args:
        place: Where it will lie; links to tests start from there.
    """
    return "\n".join(_lines(tests, os.path.relpath(_CHECKOUT, place.parent))) + "\n"


def _lines(tests: list[Shown], checkout: str) -> Iterator[str]:
    of_row = {row: [test for test in tests if row in test.rows] for row in ROWS}
    yield "# Behaviour: what shows it"
    yield ""
    yield (
        "Every rule of how the portal behaves, with the tests that showed it. Made by `./dev test --behaviour` from "
        "the tests that ran; do not edit."
    )
    yield ""
    yield "| row | what | tests | on real guests | ran on (UTC) |"
    yield "|---|---|---|---|---|"
    for row, title in ROWS.items():
        found = of_row[row]
        on_guests = sum(test.guest for test in found)
        days = sorted({test.day for test in found})
        ran = days[0] if len(days) == 1 else " to ".join((days[0], days[-1])) if days else "never"
        yield f"| [{row}](#{row}) | {title} | {len(found)} | {on_guests or '–'} | {ran} |"
    for row, title in ROWS.items():
        yield ""
        yield f'## <a id="{row}"></a>{row}. {title}'
        yield ""
        for test in _functions(of_row[row]):
            yield f"- [`{test.path.removeprefix('tests/')}`]({checkout}/{test.path}) {_describe(test)}"
        if not of_row[row]:
            yield "No test ran."


def _describe(test: _Function) -> str:
    notes = [f"{test.cases} cases"] if test.cases > 1 else []
    if test.guest:
        notes.append("real guest")
    if test.failed:
        notes.append(f"**{test.failed} failed**")
    words = test.name.removeprefix("test_").replace("::test_", ": ").replace("_", " ")
    return words + (f" ({', '.join(notes)})" if notes else "")

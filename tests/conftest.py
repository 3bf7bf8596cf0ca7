"""Fixtures that every ring shares."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import pytest

from vms.hypervisor import connections

pytest_plugins = [
    "tests.support.emptying",
    "tests.support.fake",
    "tests.support.guests",
    "tests.support.receiver",
    "tests.support.smtp",
]

#: Where guests are emulated, which takes the processors; and where tests wait for other things instead, for long.
WITH_GUESTS = ("tests/acceptance/test_real", "tests/demo/test_guests", "tests/hypervisor/test_contract")
WAITING = (
    "tests/acceptance/",
    "tests/engine/test_kill_points",
    "tests/engine/test_other_hands",
    "tests/engine/test_tempers",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files first that take longest, those with guests and others in turn; `./dev test` hands them out so.

    In the end no process is left alone with one of them; and not all begin by booting guests.
    """
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    guests = [file for file in files if file.startswith(WITH_GUESTS)]
    waiting = [file for file in files if file.startswith(WAITING) and file not in guests]
    in_turn = [file for pair in zip_longest(guests, waiting) for file in pair if file is not None]
    order = [*in_turn, *(file for file in files if file not in in_turn)]
    items[:] = [item for file in order for item in files[file]]


@pytest.fixture(autouse=True)
def _no_connection_outlives_its_test() -> Iterator[None]:
    """Close the connections to hypervisors that a test opened."""
    yield
    connections.close_all()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests measured."""
    figures = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", [])
        if name == "figure" and report.when == "call"
    ]
    if figures:
        terminalreporter.section("figures")
        for figure in figures:
            terminalreporter.write_line(str(figure))

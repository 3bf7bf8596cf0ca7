"""Fixtures that every ring shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vms.hypervisor import connections

pytest_plugins = ["tests.support.fake", "tests.support.guests", "tests.support.smtp"]

#: Where the tests wait longest. They begin first, so that in the end no process is left alone with one of them.
LONGEST_FIRST = ("tests/acceptance/test_real", "tests/acceptance/", "tests/demo/", "tests/engine/", "tests/hypervisor/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files first whose tests wait longest; `./dev test` hands them out in this order."""

    def place(item: pytest.Item) -> int:
        places = (n for n, start in enumerate(LONGEST_FIRST) if item.nodeid.startswith(start))
        return next(places, len(LONGEST_FIRST))

    items.sort(key=place)


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

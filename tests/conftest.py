"""Fixtures that every ring shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vms.hypervisor import connections

pytest_plugins = ["tests.support.fake", "tests.support.guests", "tests.support.smtp"]


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

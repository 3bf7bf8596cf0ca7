"""A pytest plugin: writes down which tests that show a row of the table of behaviours ran, and what came of them.

`-p tests.behaviour.plugin --behaviour-record DIRECTORY`: each run adds a file to the directory, so that several runs
make one page together (`python -m tests.behaviour`).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.rows import ROWS

_PROPERTY = "behaviour"


@dataclass
class Shown:
    """One test that shows rows.

    Attributes:
        nodeid: pytest's name of it.
        rows: Numbers of the rows.
        guest: It ran on a real guest.
        day: When it ran, in UTC (ISO 8601).
        passed: Whether set-up, test and clean-up all passed.
    """

    nodeid: str
    rows: list[int]
    guest: bool
    day: str
    passed: bool = True


class Recorder:
    """Collects the reports of one run; with xdist, in the process that the reports arrive at."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._shown: dict[str, Shown] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the report of one phase of one test; a test that did not run in full shows nothing."""
        for name, value in report.user_properties:
            if name == _PROPERTY and isinstance(value, dict):
                day = datetime.now(UTC).date().isoformat()
                shown = self._shown.setdefault(report.nodeid, Shown(report.nodeid, day=day, **value))
                shown.passed = shown.passed and report.passed

    def pytest_sessionfinish(self) -> None:
        """Write it down."""
        body = json.dumps([asdict(shown) for shown in self._shown.values()])
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / f"{uuid.uuid4()}.json").write_text(body)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--behaviour-record", type=Path, help="write down here which rows of behaviour were shown")


def pytest_configure(config: pytest.Config) -> None:
    """Record, where the reports arrive."""
    directory = config.getoption("--behaviour-record")
    if directory is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(directory))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each test's reports say which rows it shows: reports travel between processes, marks do not."""
    for item in items:
        rows = sorted({row for mark in item.iter_markers(_PROPERTY) for row in mark.args})
        if unknown := set(rows) - set(ROWS):
            raise pytest.UsageError(f"{item.nodeid}: no such rows of behaviour: {sorted(unknown)}")
        if rows:
            properties: dict[str, Any] = {"rows": rows, "guest": item.get_closest_marker("guest") is not None}
            item.user_properties.append((_PROPERTY, properties))

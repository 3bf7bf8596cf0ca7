"""The page about the rows of behaviour says what ran, and a row that nothing shows fails the run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from portal.env import BASE_DIR
from tests.behaviour import page
from tests.behaviour.plugin import Shown
from tests.behaviour.rows import ROWS

SAMPLE = """
import pytest
pytestmark = [pytest.mark.behaviour(1)]
@pytest.mark.behaviour(2, 3)
@pytest.mark.parametrize("n", [1, 2])
def test_cases(n): pass
@pytest.mark.guest
def test_on_a_guest(): pass
@pytest.mark.behaviour(4)
def test_failing(): raise AssertionError
@pytest.fixture
def broken(): yield; raise AssertionError
@pytest.mark.behaviour(5)
def test_failing_to_clean_up(broken): pass
@pytest.mark.behaviour(6)
def test_skipped(): pytest.skip("no")
def test_deselected(): pass
"""


def record(directory: Path, body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a sample with the plugin."""
    (directory / "test_sample.py").write_text(body)
    (directory / "pytest.ini").write_text("[pytest]\nmarkers =\n  behaviour(n): x\n  guest: x\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.behaviour.plugin", "-p", "no:django", *arguments]
    options: list[str | Path] = [
        "--behaviour-record",
        directory / "records",
        "--rootdir",
        directory,
        "-c",
        directory / "pytest.ini",
    ]
    return subprocess.run([*command, *options, directory], cwd=BASE_DIR, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("processes", [(), ("-n", "1")])
def test_what_ran_is_written_down(tmp_path: Path, processes: tuple[str, ...]) -> None:
    record(tmp_path, SAMPLE, *processes, "--deselect", "test_sample.py::test_deselected")
    found = {test.nodeid.partition("::")[2]: test for test in page.read(tmp_path / "records")}
    assert {name for name, test in found.items() if test.passed} == {
        "test_cases[1]",
        "test_cases[2]",
        "test_on_a_guest",
    }
    assert {name for name, test in found.items() if test.guest} == {"test_on_a_guest"}
    assert found["test_cases[1]"].rows == [1, 2, 3]
    assert "test_deselected" not in found
    assert page.not_shown(found.values()) == [row for row in ROWS if row > 3]


def test_a_row_that_does_not_exist_stops_the_run(tmp_path: Path) -> None:
    ended = record(tmp_path, "import pytest\n@pytest.mark.behaviour(99)\ndef test_it(): pass\n")
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "99" in ended.stderr + ended.stdout


@pytest.mark.parametrize("left_out", [None, 7])
def test_a_row_that_nothing_shows_fails(tmp_path: Path, left_out: int | None) -> None:
    rows = [row for row in ROWS if row != left_out]
    marks = ", ".join(map(str, rows))
    record(tmp_path, f"import pytest\n@pytest.mark.behaviour({marks})\ndef test_it(): pass\n")
    command = [sys.executable, "-m", "tests.behaviour", str(tmp_path / "records"), str(tmp_path / "page.md")]
    ended = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=False)
    assert ended.returncode == (1 if left_out else 0)
    assert (f"row {left_out} " in ended.stderr) == bool(left_out)
    assert (tmp_path / "page.md").exists()


def test_the_page_is_the_same_whatever_the_order_of_the_runs() -> None:
    tests = [
        Shown("tests/a.py::test_a[x]", [1, 25], guest=True, day="2030-01-01"),
        Shown("tests/a.py::test_a[y]", [1], guest=True, day="2030-01-02", passed=False),
        Shown("tests/b.py::test_it_works", [1], guest=False, day="2030-01-02"),
    ]
    text = page.render(tests, BASE_DIR / "docs" / "behaviour.md")
    assert text == page.render(tests[::-1], BASE_DIR / "docs" / "behaviour.md")
    assert "| 3 | 2 | 2030-01-01 to 2030-01-02 |" in text
    assert "- [`a.py`](../tests/a.py) a (2 cases, real guest, **1 failed**)" in text
    assert "- [`b.py`](../tests/b.py) it works\n" in text
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == len(ROWS)
    assert text.count("No test ran.") == len(ROWS) - 2

"""The plugin that makes a skipped test a failure is itself able to fail."""

import subprocess
import sys
from pathlib import Path

import pytest

from portal.env import BASE_DIR


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("def test_it(): pass", 0),
        ("import pytest\ndef test_it(): pytest.skip('no')", 1),
        ("import pytest\npytest.skip('no', allow_module_level=True)\ndef test_it(): pass", 1),
        ("import pytest\n@pytest.mark.skipif(True, reason='no')\ndef test_it(): pass\ndef test_other(): pass", 1),
        ("import pytest\n@pytest.mark.xfail\ndef test_it(): raise AssertionError", 0),
    ],
)
def test_a_skipped_test_fails_the_run(tmp_path: Path, body: str, status: int) -> None:
    run_pytest(tmp_path, body, status)


def test_a_test_skipped_in_another_process_fails_the_run_too(tmp_path: Path) -> None:
    run_pytest(tmp_path, "import pytest\ndef test_it(): pytest.skip('no')", 1, "-n", "1")


def run_pytest(tmp_path: Path, body: str, status: int, *processes: str) -> None:
    """Run a sample of two test modules with the plugin, and compare the exit status."""
    (tmp_path / "test_sample.py").write_text(body + "\n")
    (tmp_path / "test_second.py").write_text("def test_it(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.no_skips", "-p", "no:django", *processes]
    ended = subprocess.run(
        [*command, "--rootdir", tmp_path, "-c", tmp_path / "pytest.ini", tmp_path],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == status, ended.stdout
    if status:
        assert "skipped tests fail this run" in ended.stdout

"""What runs the tests leaves nothing of them behind, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.env import BASE_DIR
from tests.support.reaper import LEFT_BEHIND
from tests.support.waiting import wait_until

REAPER = [sys.executable, "-m", "tests.support.reaper"]
#: A daemon as libvirtd's QEMU is one: in a session of its own, and its parent gone. It says its process id.
DAEMON = "setsid -f sh -c 'echo $$ >>{pids}; {trap} sleep 600 & wait'"
#: A test that was interrupted before it could take its daemon down, as happens to those of xdist's workers.
SAMPLE = """
import os, signal, subprocess, time

def test_it():
    subprocess.run({daemon!r}, shell=True, check=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(600)
"""


@pytest.fixture
def pids(tmp_path: Path) -> Path:
    """Where daemons write their process ids."""
    return tmp_path / "pids"


@pytest.fixture
def reapers() -> Iterator[list[subprocess.Popen[str]]]:
    """The reapers of a test; none outlives it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def gone(pids: Path) -> bool:
    """Say whether the daemons have ended."""
    return not any(Path(f"/proc/{pid}").exists() for pid in pids.read_text().split())


@pytest.mark.parametrize("status", [0, 3])
def test_the_command_says_how_the_run_went(status: int) -> None:
    assert subprocess.run([*REAPER, "sh", "-c", f"exit {status}"], cwd=BASE_DIR, check=False).returncode == status


def test_the_directory_for_temporary_files_goes_with_the_command() -> None:
    command = [*REAPER, "sh", "-c", "touch $TMPDIR/file; echo $TMPDIR"]
    directory = Path(subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=True).stdout.strip())
    assert directory.parent == Path("/tmp")
    assert not directory.exists()


def test_a_directory_that_left_a_link_to_itself_goes_too(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    subprocess.run([*REAPER, "sh", "-c", f"ln -s {elsewhere} $TMPDIR/daemon.link"], cwd=BASE_DIR, check=True)
    assert not elsewhere.exists()


@pytest.mark.parametrize("trap", ["", 'trap "" TERM;'], ids=["a polite one", "a stubborn one"])
def test_a_daemon_that_is_left_is_ended_and_fails_the_run(pids: Path, trap: str) -> None:
    daemon = DAEMON.format(pids=pids, trap=trap)
    command = [*REAPER, "sh", "-c", f"{daemon}; while ! [ -s {pids} ]; do sleep 0.01; done"]
    ended = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=False)
    assert ended.returncode == LEFT_BEHIND
    assert "left behind" in ended.stderr
    assert pids.read_text().strip() in ended.stderr
    assert gone(pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_an_interrupted_run_leaves_is_ended(
    tmp_path: Path, pids: Path, reapers: list[subprocess.Popen[str]], number: signal.Signals
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_sample.py").write_text(SAMPLE.format(daemon=DAEMON.format(pids=pids, trap="")))
    pytest_command = [sys.executable, "-m", "pytest", "-p", "no:django", "-n", "2", "-c", f"{tmp_path}/pytest.ini"]
    reaper = subprocess.Popen(
        [*REAPER, *pytest_command, str(tmp_path)], cwd=BASE_DIR, stderr=subprocess.PIPE, text=True, process_group=0
    )
    reapers.append(reaper)
    wait_until(lambda: pids.exists() and pids.read_text().strip(), "the sample's daemon runs", 30)
    if number is signal.SIGINT:
        # As the terminal does. Never by procps, some versions of which take a negative id for every process there is.
        assert os.getpgid(reaper.pid) == reaper.pid, "the reaper has a group of its own"
        os.killpg(reaper.pid, number)
    else:
        reaper.terminate()
    _, said = reaper.communicate(timeout=30)
    assert reaper.returncode not in (0, LEFT_BEHIND)
    assert pids.read_text().strip() in said
    assert gone(pids)

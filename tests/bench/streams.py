"""`./dev bench streams`: many open pages, and a change many times a second.

The web server and Redis are those of a portal as `./dev run` starts it; what else it starts is stopped, so that nothing
but the changes made here moves. The pages are in a process of their own. A change renames a VM, by the code that the
portal's own processes tell of changes with; the name carries the moment.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.test import override_settings

from portal.env import BASE_DIR
from tests.acceptance.instance import Instance
from tests.bench import fleet
from tests.bench.figures import say, say_where
from tests.support.fake import FakeDaemon
from tests.support.waiting import wait_until
from vms.engine import changes
from vms.models import Assignment, Host, Role, VirtualMachine

#: VMs that change: as many as a page shows.
VMS = 50
#: Seconds within which the last change has to be everywhere.
_PATIENCE = 60.0
_STOPPED = ("watcher", "worker", "chores", "beat")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used, and has, in memory."""

    processor_s: float
    rss_mb: float
    peak_mb: float

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Look at a process."""
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        rss, peak = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return cls((int(fields[11]) + int(fields[12])) / _TICKS, rss, peak)


class Listeners:
    """The pages, in their own process."""

    def __init__(self, port: int, cookies: list[str]) -> None:
        command = [sys.executable, "-m", "tests.bench.listeners", str(port), str(VMS)]
        self._process = subprocess.Popen(
            command, cwd=BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._write("".join(f"{each}\n" for each in cookies) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, command: str) -> dict[str, Any]:
        """Give a command, and return the answer."""
        self._write(f"{command}\n")
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()


def run(*, streams: int, rate: int, seconds: int, kinds: int) -> int:
    """Measure; returns how many streams had not seen every change in the end.

    Args:
        kinds: How many kinds of people there are, who are each shown something else.
    """
    say_where()
    say(f"{streams} streams of as many people of {kinds} kinds, {rate} changes a second for {seconds} s, {VMS} VMs")
    with _web_and_redis() as portal:
        vms = fleet.make(VMS)
        pid = portal.pid("web")
        before = Usage.of(pid)
        with transaction.atomic():
            cookies = [_log_in(number, kinds, portal.port) for number in range(streams)]
        with Listeners(portal.port, cookies) as pages:
            began = time.monotonic()
            wait_until(lambda: pages.ask("now")["open"] == streams, "all streams are open", _PATIENCE, 0.5)
            opened = Usage.of(pid)
            say(
                f"all open after {time.monotonic() - began:.1f} s of which the web worked "
                f"{opened.processor_s - before.processor_s:.1f} s; memory {before.rss_mb:.0f} -> {opened.rss_mb:.0f} MB"
            )
            pages.ask("reset")
            began = time.monotonic()
            made = _change(vms, rate, seconds)
            last = [int(vm.name.rpartition("-")[2]) for vm in vms]
            behind = _wait_for(pages, streams, min(last))
            after = Usage.of(pid)
            took = time.monotonic() - began
            report = pages.ask("report")
        say(f"changes made: {made} ({made / seconds:.0f} a second), all of them seen after {took:.1f} s")
        _tell(report, opened, after, took)
        say(f"streams that saw the last change of every VM: {streams - behind} of {streams}")
    say(f"load average at the end: {os.getloadavg()[0]:.1f}")
    return behind


@contextmanager
def _web_and_redis() -> Iterator[Instance]:
    """A portal of which only these two run, and its database."""
    with tempfile.TemporaryDirectory(prefix="vmp-bench-") as directory:
        host = FakeDaemon(Path(directory))
        host.start()
        portal = Instance(Path(directory) / "home", host.uri, os.environ.get("DATABASE_URL", ""))
        try:
            portal.start()
            for name in _STOPPED:
                portal.stop_process(name)
            redis, key = f"unix://{portal.redis_socket}", (portal.home / "secret-key").read_text().strip()
            with portal.database(), override_settings(LIVE_STREAM=True, REDIS_URL=redis, SECRET_KEY=key):
                Host.objects.all().delete()
                yield portal
        finally:
            portal.stop()
            host.close()


def _log_in(number: int, kinds: int, port: int) -> str:
    """Add a person of one of the kinds with a session; returns their cookies."""
    user = User.objects.create(username=f"person{number}", password="!")
    operator = Role.objects.get(name="Operator")
    Assignment.objects.create(role=operator, user=user)
    if kind := number % kinds:
        # Everything on all VMs, and once more on one of them: shown the same, but not known to be.
        Assignment.objects.create(role=operator, user=user, vm=VirtualMachine.objects.order_by("name")[kind - 1])
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return f"portal_session_{port}={session.session_key}"


def _change(vms: list[VirtualMachine], rate: int, seconds: int) -> int:
    """Rename one VM after the other, so many a second; returns how many changes there were."""
    began = time.monotonic()
    made = 0
    while (now := time.monotonic()) < began + seconds:
        if now < began + made / rate:
            time.sleep(began + made / rate - now)
            continue
        number = made % len(vms)
        vm = vms[number]
        vm.name = f"bench-{number}-{time.monotonic_ns()}"
        VirtualMachine.objects.filter(pk=vm.pk).update(name=vm.name)
        changes.tell(vm.pk)
        made += 1
    return made


def _wait_for(pages: Listeners, streams: int, oldest: int) -> int:
    """Wait until every page has seen the last change of every VM; returns how many have not."""
    until = time.monotonic() + _PATIENCE
    while True:
        now = pages.ask("now")
        up_to_date = now["up_to_date"] if now["oldest_of_newest"] >= oldest else 0
        if up_to_date == streams or time.monotonic() > until:
            return streams - up_to_date
        time.sleep(0.2)


def _tell(report: dict[str, Any], before: Usage, after: Usage, took: float) -> None:
    delays = sorted((int(ms), count) for ms, count in report["delays"].items())
    worked = after.processor_s - before.processor_s
    seen = sum(count for _, count in delays)
    say(f"rows seen: {seen}, in {report['frames']} frames, {report['bytes'] / 1e6:.0f} MB")
    say(
        f"delay from the change to a page: median {_quantile(delays, 0.5)} ms, p95 {_quantile(delays, 0.95)} ms, "
        f"worst {delays[-1][0]} ms"
    )
    say(
        f"web: {worked:.1f} s of a processor in {took:.1f} s ({100 * worked / took:.0f} %), "
        f"memory {after.rss_mb:.0f} MB, at most {after.peak_mb:.0f} MB"
    )


def _quantile(delays: list[tuple[int, int]], part: float) -> int:
    wanted = part * sum(count for _, count in delays)
    passed = 0
    for ms, count in delays:
        passed += count
        if passed >= wanted:
            return ms
    raise statistics.StatisticsError("nothing was seen")

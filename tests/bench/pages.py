"""`./dev bench list`: what the list of VMs costs the server, as Django's own test client has it answered."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.runner import DiscoverRunner
from django.test.utils import CaptureQueriesContext, setup_test_environment, teardown_test_environment

from tests.bench import fleet
from tests.bench.figures import Spread, say, say_where
from vms.models import Assignment, Role, Tag

#: What is aimed at, for each page.
P95_MS, QUERIES = 80.0, 10
#: Requests of each kind that are made before any is measured: templates are compiled, caches are warm.
_WARM_UP = 3

#: Each page by the words of its question.
PAGES = {
    "first page": "",
    "filter by a word of the name": "?filter=b0",
    "filter name=web0*": "?filter=name%3Dweb0*",
    "filter name=*7": "?filter=name%3D*7",
    "filter status=up": "?status=up",
    "filter status=paused": "?status=paused",
    "filter tag=team-07": "?filter=tag%3Dteam-07",
    "filter host=kvm03": "?filter=host%3Dkvm03",
    "filter pending=yes": "?filter=pending%3Dyes",
    "filter by all of them": "?filter=web+tag%3Dteam-0*+host%3Dkvm0*+pending%3Dno&status=up",
    **{
        f"sort by {column}{', descending' * bool(minus)}": f"?sort={minus}{column}"
        for column in ("name", "status", "host", "cpu", "memory", "up", "pending")
        for minus in ("", "-")
    },
    "last page": "?page=last",
    "last page, sorted by host": "?page=last&sort=host",
    "page in the middle, sorted by status": "?page={middle}&sort=status",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one page costs: the time that passes, and that of a processor, which others on the machine leave alone."""

    time: Spread
    work: Spread
    queries: int

    def beyond(self, p95: float, queries: int) -> bool:
        """Say whether it is more than is aimed at."""
        return self.time.p95 > p95 or self.queries > queries

    @property
    def figures(self) -> str:
        """Its figures as cells of a table."""
        return f"{self.time.median:.0f} | {self.time.p95:.0f} | {self.work.median:.0f} | {self.queries}"


@contextmanager
def empty_database() -> Iterator[None]:
    """A database of one's own, migrated, for the time of a measurement."""
    runner = DiscoverRunner(verbosity=0, interactive=False)
    setup_test_environment()
    made = runner.setup_databases()
    try:
        yield
    finally:
        runner.teardown_databases(made)
        teardown_test_environment()


def people() -> dict[str, User]:
    """Make two people: one who may do everything, and one who may operate the VMs of some tags."""
    admin = User.objects.create_superuser("ada")
    some = User.objects.create_user("oskar")
    operator = Role.objects.get(name="Operator")
    for tag in Tag.objects.all()[: fleet.TAGS // 2]:
        Assignment.objects.create(role=operator, user=some, tag=tag)
    return {"sees all": admin, "roles on half of the tags": some}


def cost(client: Client, path: str, times: int, names: bytes = b"vm_row_") -> Cost:
    """Ask for a page many times over; it has `names` in it, where it is what it should be."""
    for _ in range(_WARM_UP):
        _ask(client, path, names)
    with CaptureQueriesContext(connection) as captured:
        _ask(client, path, names)
    queries = len(captured)
    gc.collect()
    took, worked = zip(*(_ask(client, path, names) for _ in range(times)), strict=True)
    return Cost(Spread.of(took), Spread.of(worked), queries)


def _ask(client: Client, path: str, names: bytes) -> tuple[float, float]:
    """Ask for a page; returns the seconds that passed, and those that a processor worked for it."""
    began, idle = time.perf_counter(), time.process_time()
    answer = client.get(path)
    took = time.perf_counter() - began, time.process_time() - idle
    if answer.status_code != HTTPStatus.OK or names not in answer.content:
        raise AssertionError(f"{path} was answered {answer.status_code}, or names no VM")
    return took


def run(*, vms: int, times: int) -> int:
    """Measure every page, for everybody; returns how many cost more than is aimed at."""
    say_where()
    with empty_database():
        fleet.make(vms)
        analyze()
        say(f"{vms} VMs on {fleet.HOSTS} hosts, each page {times} times; aim: p95 {P95_MS:.0f} ms, {QUERIES} queries")
        too_much = 0
        for who, person in people().items():
            client = Client()
            client.force_login(person)
            say(f"\n| {who} | median ms | p95 ms | processor ms | queries |\n|---|---|---|---|---|")
            for page, question in PAGES.items():
                found = cost(client, "/" + question.format(middle=vms // 100), times)
                beyond = found.beyond(P95_MS, QUERIES)
                say(f"| {page} | {found.figures}{' **too much**' * beyond} |")
                too_much += beyond
        say(f"\nload average at the end: {os.getloadavg()[0]:.1f}; pages that cost too much: {too_much}")
    return too_much


def analyze() -> None:
    """Let PostgreSQL count what it has, as it does by itself in time. SQLite never does."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")

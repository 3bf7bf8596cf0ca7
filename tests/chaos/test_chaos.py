"""A minute of chaos, and that chaos itself is able to fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from pytest_django import DjangoDbBlocker

from tests.chaos.hosts import SimulatedHost
from tests.chaos.people import Asked
from tests.chaos.report import Report
from tests.chaos.run import VICTIMS, compare_with_answers, require_enough, run

SEED = 20_300_101


@pytest.mark.raging
@pytest.mark.acceptance
@pytest.mark.behaviour(25, 26)
def test_a_minute_of_chaos_violates_nothing(
    django_db_blocker: DjangoDbBlocker, record_property: Callable[[str, object], None]
) -> None:
    with SimulatedHost(20, SEED) as host, django_db_blocker.unblock():
        report = run(host, minutes=1, seed=SEED)
    record_property("figure", report.text())
    assert not report.wrong, report.text()


def test_a_run_that_is_worth_nothing_fails() -> None:
    report = Report(SEED, 20, operations=499, kills=Counter({victim: 1 for victim in VICTIMS if victim != "beat"}))
    require_enough(report)
    assert report.wrong == ["only 499 operations; 500 are needed", "never killed: beat"]
    enough = Report(SEED, 5, operations=250, kills=Counter(VICTIMS))
    require_enough(enough)
    assert not enough.wrong


@pytest.mark.parametrize(
    ("accepted", "found", "lost", "doubled", "wrong"),
    [
        (True, 1, 0, 0, False),
        (True, 0, 1, 0, True),
        (True, 2, 0, 1, True),
        (False, 0, 0, 0, False),
        (False, 1, 0, 0, True),
        (None, 0, 0, 0, False),
        (None, 1, 0, 0, False),
        (None, 2, 0, 1, True),
    ],
)
def test_what_people_were_told_is_compared_with_what_became_of_it(
    accepted: bool | None, found: int, lost: int, doubled: int, wrong: bool
) -> None:
    report = Report(SEED, 1)
    compare_with_answers(report, [Asked("mark", accepted)], Counter({"mark": found}))
    assert (report.lost, report.doubled, bool(report.wrong)) == (lost, doubled, wrong)
    assert ("FAILED" in report.text()) is wrong

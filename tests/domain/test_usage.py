"""Rates from counters, and which samples a chart is drawn of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from vms.domain.usage import LEVELS, Rates, Usage, drawn, rates

BEFORE = Usage(cpu=100.0, vcpus=4, memory_used=1 << 30, memory=2 << 30, disk_read=1000, disk_written=0, net_sent=7)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_what_was_used_is_told_per_second() -> None:
    after = replace(BEFORE, cpu=110.0, memory_used=3 << 29, disk_read=6000, disk_written=50, net_sent=7)
    assert rates(BEFORE, after, 10) == Rates(
        cpu=0.25,
        memory_used=3 << 29,
        memory=2 << 30,
        disk_read=500,
        disk_written=5,
        net_received=None,
        net_sent=0,
    )


@pytest.mark.parametrize("name", ["cpu", "disk_read", "net_sent"])
def test_a_counter_that_goes_backwards_gives_no_rate(name: str) -> None:
    assert rates(BEFORE, replace(BEFORE, **{name: getattr(BEFORE, name) - 1}), 10) is None


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_gives_no_rate(seconds: float) -> None:
    assert rates(BEFORE, BEFORE, seconds) is None


def test_no_more_than_all_cpus_are_used() -> None:
    found = rates(BEFORE, replace(BEFORE, cpu=141.0), 10)
    assert found is not None
    assert found.cpu == 1.0


def test_less_memory_is_no_restart() -> None:
    assert rates(BEFORE, replace(BEFORE, memory_used=1, memory=1), 10) is not None


def test_of_a_process_of_unknown_cpus_nothing_is_guessed() -> None:
    found = rates(BEFORE, replace(BEFORE, vcpus=None), 10)
    assert found is not None
    assert found.cpu is None


@dataclass(frozen=True)
class Point:
    """A sample, as far as choosing it goes."""

    at: datetime
    resolution: int


def points(resolution: int, start: int, end: int) -> list[Point]:
    """Return samples from one second to another."""
    return [Point(NOON + timedelta(seconds=second), resolution) for second in range(start, end + 1, resolution)]


def test_a_chart_ends_with_finer_samples_than_its_own() -> None:
    fine, middle, coarse = points(10, 500, 670), points(60, 300, 660), points(300, 0, 600)
    assert drawn([*fine, *middle, *coarse], 300) == [*coarse, *points(10, 610, 670)]
    assert drawn([*fine, *middle, *coarse], 60) == [*middle, *points(10, 670, 670)]
    assert drawn([*fine, *middle, *coarse], 10) == fine


def test_a_vm_that_is_new_is_drawn_by_what_there_is() -> None:
    assert drawn(points(10, 0, 50), 300) == points(10, 0, 50)
    assert drawn([], 300) == []


def test_each_level_is_coarser_and_kept_longer_than_the_one_before() -> None:
    assert sorted(LEVELS, key=lambda level: (level.every, level.kept)) == list(LEVELS)
    assert all(coarse.every % fine.every == 0 for fine, coarse in pairwise(LEVELS))

"""What is learned from how long a VM needed before, and what that says against a delay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vms.domain.learned import Doubt, Times, doubt, times

pytestmark = pytest.mark.behaviour(35)

SHUTDOWNS = Times(count=12, median=14, slowest=31)


def test_times_are_summed_up() -> None:
    assert times([]) is None
    assert times([7.5]) == Times(1, 7.5, 7.5)
    assert times([31, 9, 14]) == Times(3, 14, 31)
    assert times([10, 20]) == Times(2, 15, 20)


@given(st.lists(st.floats(0, 3600), min_size=1))
def test_half_of_them_took_the_median_at_most(seconds: list[float]) -> None:
    summed = times(seconds)
    assert summed is not None
    assert summed.count == len(seconds)
    assert 2 * sum(each <= summed.median for each in seconds) >= len(seconds)
    assert summed.median <= summed.slowest == max(seconds)


@pytest.mark.parametrize(
    ("delay", "against"),
    [
        (0, Doubt.TOO_SHORT),
        (13, Doubt.TOO_SHORT),
        (14, Doubt.SHORT),
        (30, Doubt.SHORT),
        (31, None),
        (3600, None),
    ],
)
def test_a_delay_is_doubted_by_what_was_seen(delay: int, against: Doubt | None) -> None:
    assert doubt(delay, SHUTDOWNS) is against


def test_where_nothing_was_seen_nothing_is_doubted() -> None:
    assert doubt(1, None) is None

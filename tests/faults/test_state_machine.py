"""Whatever happens, in whatever order: the invariants hold, by the host's own log.

2,000 lives of up to 60 steps, in parts that processes share. `VM_PORTAL_LIVES` sets another number for a long run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.machine import Everything

LIVES = int(os.environ.get("VM_PORTAL_LIVES", "2000"))
#: The base of the parts' seeds: the same lives in every run, unless a long run asks for others.
SEED = int(os.environ.get("VM_PORTAL_LIVES_SEED", "1"))
#: Each is a test of a minute or two at most: processes share them well, and a long run shows how far it is.
PARTS = max(20, LIVES // 250)
#: The most steps of a life, one of these for each part: some mistakes need many, and short lives are soon over.
STEPS = (60, 30, 20, 10)

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Say nothing: the log of thousands of lives is of no use to anybody."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.behaviour(18, 19, 20, 21, 22, 23, 24, 25, 26, 28, 29)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_invariants_hold_whatever_happens(part: int) -> None:
    how = settings(
        max_examples=-(-LIVES // PARTS),
        stateful_step_count=STEPS[part % len(STEPS)],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    seed(SEED * 1000 + part)(Everything)
    run_state_machine_as_test(Everything, settings=how)

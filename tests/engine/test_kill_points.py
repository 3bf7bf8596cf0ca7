"""A worker killed with SIGKILL at every point there is: the operation ends as if nothing had happened.

A sample, with real processes on either database: `tests/faults/test_kill_points.py` has every action on every temper.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.engine.death import work_together_until_killed, work_until_killed
from tests.engine.harness import Engine
from tests.support.fake import most_at_once
from vms import actions
from vms.domain.decide import pace
from vms.domain.operation import Outcome
from vms.domain.policy import Setting
from vms.domain.power import Action, VmStatus
from vms.hypervisor.fake import OBEDIENT, STUBBORN, Temper
from vms.models import Operation, PortalDefaults, VirtualMachine

SETTLE = 0.3
NO_OVERRIDE = Setting()
ASKS = ("ask_agent", "press_button")
#: So many workers work and die at the same time, each on a VM of its own.
_AT_ONCE = 16
#: Seconds that all of their operations together may take to end after that.
_LONGER_BY = 20.0


@dataclass(frozen=True)
class Scenario:
    """One action on one guest.

    Attributes:
        calls: What the host must be asked, repeated asks apart.
    """

    action: Action
    temper: Temper
    outcome: Outcome
    calls: tuple[str, ...]
    override: Setting = NO_OVERRIDE

    @property
    def ends_up(self) -> bool:
        """True when the VM is to run in the end."""
        return self.calls[-1] == "start" or self.outcome is Outcome.GAVE_UP


SCENARIOS = {
    "reboot, obedient": Scenario(Action.REBOOT, OBEDIENT, Outcome.CLEAN_AGENT, ("ask_agent", "start")),
    "reboot, forced": Scenario(
        Action.REBOOT, STUBBORN, Outcome.FORCED, ("ask_agent", "press_button", "destroy", "start"), Setting(True, 2)
    ),
    "power cycle": Scenario(Action.POWER_CYCLE, OBEDIENT, Outcome.FORCED, ("destroy", "start")),
    "reboot, given up": Scenario(
        Action.REBOOT, STUBBORN, Outcome.GAVE_UP, ("ask_agent", "press_button"), Setting(False, 2)
    ),
}


@pytest.fixture(autouse=True)
def _settle_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is in doubt be settled sooner: these calls are answered in milliseconds."""
    monkeypatch.setattr(pace, "SETTLE", timedelta(seconds=SETTLE))


@pytest.mark.behaviour(25, 31, 32)
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_anywhere_it_ends_as_if_nothing_had_happened(engine: Engine, name: str) -> None:
    points = play(engine, name, range(1, 200), lambda first: [first])
    # The least: lease, mark (written, done, answered), one call likewise, the end, lease.
    assert points >= 9, "the points are not all found"


@pytest.mark.behaviour(25)
@pytest.mark.parametrize("name", ["reboot, forced", "power cycle"])
def test_killed_twice_it_ends_as_if_nothing_had_happened(engine: Engine, name: str) -> None:
    seconds = (2, 4, 7, 9, 12)
    assert play(engine, name, range(1, 200, 2), lambda first: [first, seconds[first // 2 % len(seconds)]]) >= 9


@pytest.mark.behaviour(25, 33)
def test_killed_anywhere_in_a_bulk_its_queue_goes_on_one_by_one(engine: Engine) -> None:
    PortalDefaults.objects.create(id=1, bulk_in_flight=1)
    size, killed = 3, [True]
    first = 1
    while all(killed):
        points = range(first, first + _AT_ONCE)
        vms = engine.define_all([OBEDIENT] * (size * len(points)))
        groups = [vms[begin : begin + size] for begin in range(0, len(vms), size)]
        operations = [actions.request_each(engine.admin, group, Action.REBOOT).accepted for group in groups]
        engine.wakes = queue.Queue()
        killed = work_together_until_killed(
            ([vm.pk for vm in group], point) for group, point in zip(groups, points, strict=True)
        )
        engine.finish_all(operation for each in operations for operation in each)
        for group, each, point in zip(groups, operations, points, strict=True):
            case = f"a bulk, killed at {point}"
            for vm, operation in zip(group, each, strict=True):
                check(engine, SCENARIOS["reboot, obedient"], vm, operation, case)
            assert most_at_once(engine.fake.control, [str(vm.uuid) for vm in group]) == 1, case
            assert in_order(each), case
        for vm in vms:
            engine.undefine(vm)
        engine.drain()
        first += _AT_ONCE
    # Three operations of nine points at least, and what lets the second and the third begin is in one with an end.
    assert points[killed.index(False)] > size * 9, "the points are not all found"


def in_order(operations: Sequence[Operation]) -> bool:
    """Say whether each began after the one before it had ended."""
    for operation in operations:
        operation.refresh_from_db()
    return all(
        before.ended_at is not None and after.left_queue_at is not None and before.ended_at <= after.left_queue_at
        for before, after in pairwise(operations)
    )


def play(engine: Engine, name: str, firsts: Sequence[int], deaths: Callable[[int], list[int]]) -> int:
    """Play a scenario with a worker that dies at point 1, with one that dies at point 2, and so on to the last.

    Args:
        firsts: The points to die at first, each on another VM.
        deaths: All points to die at, one after the other, when the first is the given one.

    Returns:
        The last point there was.
    """
    scenario = SCENARIOS[name]
    reached = 0
    for begin in range(0, len(firsts), _AT_ONCE):
        batch = firsts[begin : begin + _AT_ONCE]
        vms = engine.define_all([scenario.temper] * len(batch))
        operations = [actions.request(engine.admin, vm, scenario.action, override=scenario.override) for vm in vms]
        points = {vm.pk: deaths(first) for vm, first in zip(vms, batch, strict=True)}
        killed = work_until_killed({vm_id: each[0] for vm_id, each in points.items()})
        for turn in range(1, len(deaths(batch[0]))):
            work_until_killed({vm_id: points[vm_id][turn] for vm_id in killed})

        went_on_at = time.monotonic()
        engine.finish_all(operations)
        assert time.monotonic() - went_on_at < _LONGER_BY
        for vm, operation in zip(vms, operations, strict=True):
            check(engine, scenario, vm, operation, f"{name}, killed at {points[vm.pk] if vm.pk in killed else None}")
            engine.undefine(vm)
        engine.drain()
        # The last point may be the last of a batch, and then nobody dies in the next.
        reached = max([reached, *(points[vm_id][0] for vm_id in killed)])
        if len(killed) < len(vms):
            return reached
    raise AssertionError("there is no end of points")


def check(engine: Engine, scenario: Scenario, vm: VirtualMachine, operation: Operation, case: str) -> None:
    """Compare what came of an operation with what comes of it when nobody is killed."""
    operation.refresh_from_db()
    assert operation.outcome == scenario.outcome, case
    calls = engine.calls(vm)
    # Asking a guest is harmless to repeat, and pointless once its time is over; these delays are short. Of all else
    # there is exactly one, also of calls that would have found nothing to do.
    assert set(calls) <= set(scenario.calls), (case, calls)
    assert [call for call in calls if call not in ASKS] == [call for call in scenario.calls if call not in ASKS], case
    assert engine.calls(vm, effect=True).count("start") == scenario.calls.count("start"), case
    assert engine.calls(vm, effect=True).count("destroy") == scenario.calls.count("destroy"), case
    assert engine.status(vm) == (VmStatus.UP if scenario.ends_up else VmStatus.DOWN), case
    assert engine.runs(vm) is scenario.ends_up, case
    assert vm.lease_owner == "", case
    # Who asked, that a reboot's VM went down, and how it ended: each once.
    told = list(operation.events.values_list("code", flat=True))
    reboots = scenario.action is Action.REBOOT and scenario.outcome is not Outcome.GAVE_UP
    assert len(told) == len(set(told)) == 2 + reboots, (case, told)
    inside = engine.fake.control.inside(str(vm.uuid))
    assert inside["run"] is None or inside["run"]["on_reboot"] == "restart", case

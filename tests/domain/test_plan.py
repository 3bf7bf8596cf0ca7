"""What a plan announces besides its steps: consequences, changes, and a restart inside the guest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.domain.simulator import policy_of
from vms.domain.configuration import Change, Part
from vms.domain.observation import DomainState, Observation
from vms.domain.plan import Consequence, PlanKind, Situation, plan
from vms.domain.power import Action
from vms.domain.run_options import RunOptions

RUNNING = Observation(DomainState.RUNNING, agent_connected=True, agent_channel=True)
DOWN = Observation(DomainState.DOWN)
CHANGES = (Change(Part.VCPUS, 1, 2),)
FORCE, GIVE_UP = policy_of(force=True, delay=30), policy_of(force=False, delay=30)


@pytest.mark.behaviour(10, 34)
@pytest.mark.parametrize("action", [Action.REBOOT, Action.POWER_CYCLE])
def test_a_cold_start_names_the_changes_it_applies(action: Action) -> None:
    planned = plan(action, FORCE, Situation(RUNNING, CHANGES))
    assert planned.changes == CHANGES
    assert planned.consequences == (Consequence.APPLIES_CHANGES,)


@pytest.mark.behaviour(10)
def test_a_reboot_that_may_give_up_says_that_changes_may_go_on_waiting() -> None:
    assert plan(Action.REBOOT, GIVE_UP, Situation(RUNNING, CHANGES)).consequences == (
        Consequence.MAY_KEEP_CHANGES_WAITING,
    )


def test_what_starts_nothing_applies_nothing() -> None:
    planned = plan(Action.SHUT_DOWN, FORCE, Situation(RUNNING, CHANGES))
    assert (planned.consequences, planned.changes) == ((), ())


@pytest.mark.behaviour(13, 14, 34)
def test_what_ends_with_a_run_is_said() -> None:
    once, stateless = replace(RUNNING, run_once=True), replace(RUNNING, stateless=True)
    for action in (Action.SHUT_DOWN, Action.REBOOT, Action.POWER_OFF, Action.POWER_CYCLE):
        assert Consequence.ENDS_RUN_ONCE in plan(action, FORCE, Situation(once)).consequences
        assert Consequence.LOSES_DISK_WRITES in plan(action, FORCE, Situation(stateless)).consequences
    assert plan(Action.SUSPEND, None, Situation(once)).consequences == ()


def test_what_is_special_about_the_next_run_is_said() -> None:
    stateless = Situation(DOWN, options=RunOptions(stateless=True))
    assert plan(Action.RUN, None, stateless).consequences == (Consequence.RUNS_STATELESS,)
    once = Situation(DOWN, options=RunOptions(paused=True))
    assert plan(Action.RUN_ONCE, None, once).consequences == (Consequence.DIFFERS_ONCE,)


@pytest.mark.parametrize(("policy", "last"), [(FORCE, PlanKind.START), (GIVE_UP, PlanKind.GIVE_UP)])
def test_a_restart_inside_asks_the_agent_alone(policy: object, last: PlanKind) -> None:
    planned = plan(Action.REBOOT, policy, Situation(RUNNING, restart_inside=True))  # type: ignore[arg-type]
    assert planned.restarts_inside
    assert planned.steps[0].kind is PlanKind.ASK_RESTART
    assert planned.steps[-1].kind is last
    assert PlanKind.PRESS_BUTTON not in {step.kind for step in planned.steps}


@pytest.mark.parametrize(
    "situation",
    [
        Situation(RUNNING, CHANGES, restart_inside=True),
        Situation(replace(RUNNING, run_once=True), restart_inside=True),
        Situation(replace(RUNNING, stateless=True), restart_inside=True),
        Situation(RUNNING, restart_inside=True, options=RunOptions(stateless=True)),
        Situation(replace(RUNNING, agent_connected=False), restart_inside=True),
        Situation(RUNNING),
    ],
)
def test_whatever_needs_a_cold_start_gets_one(situation: Situation) -> None:
    assert not plan(Action.REBOOT, GIVE_UP, situation).restarts_inside

"""The policy in force: where each part comes from, what is refused, and what plan follows."""

from __future__ import annotations

import itertools
import json

import pytest

from tests.domain.simulator import Driver, accepted, policy_of
from tests.domain.toy import Ear, Temper, Vm
from vms.domain.errors import PolicyError
from vms.domain.observation import DomainState, Observation
from vms.domain.plan import PlanKind, Situation, Subject, plan, power_down_ladder
from vms.domain.policy import (
    FACTORY_DELAY,
    FACTORY_FORCE,
    Origin,
    Policy,
    Setting,
    check_delay,
    check_vm_setting,
    effective,
)
from vms.domain.power import Action, VmStatus

DEFAULT = Setting(force=False, delay=60)


@pytest.mark.behaviour(3, 10)
@pytest.mark.parametrize("vm", [None, True, False])
@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize("request_", [None, True, False])
@pytest.mark.parametrize("pending", [True, False])
def test_force_comes_from_the_request_then_pending_changes_then_the_vm_then_the_default(
    vm: bool | None, default: bool, request_: bool | None, pending: bool
) -> None:
    in_order = [
        (request_, Origin.REQUEST),
        (True if pending else None, Origin.PENDING_CHANGES),
        (vm, Origin.VM),
        (default, Origin.DEFAULT),
    ]
    policy = effective(Setting(vm), Setting(default, 60), Setting(request_), must_apply_changes=pending)
    assert (policy.force, policy.force_origin) == next(pair for pair in in_order if pair[0] is not None)


@pytest.mark.behaviour(3, 4)
@pytest.mark.parametrize("vm", [None, 1, 45, 3600])
@pytest.mark.parametrize("request_", [None, 1, 30, 3600])
def test_the_delay_comes_from_the_request_then_the_vm_then_the_default(vm: int | None, request_: int | None) -> None:
    in_order = [(request_, Origin.REQUEST), (vm, Origin.VM), (60, Origin.DEFAULT)]
    policy = effective(Setting(delay=vm), DEFAULT, Setting(delay=request_))
    assert (policy.delay, policy.delay_origin) == next(pair for pair in in_order if pair[0] is not None)


@pytest.mark.behaviour(3)
def test_the_portal_starts_with_force_off_and_a_minute() -> None:
    assert (FACTORY_FORCE, FACTORY_DELAY) == (False, 60)


@pytest.mark.behaviour(10)
def test_pending_changes_force_a_reboot_and_only_an_explicit_no_wins_over_them() -> None:
    vm = Setting(force=False)
    assert effective(vm, DEFAULT, must_apply_changes=True).force
    assert effective(vm, DEFAULT, Setting(delay=5), must_apply_changes=True).force
    assert not effective(vm, DEFAULT, Setting(force=False), must_apply_changes=True).force


@pytest.mark.behaviour(4)
@pytest.mark.parametrize("bad", [-1, 3601, 10**12, 1.5, 60.0, "abc", "60", True, False, None])
def test_a_delay_that_is_no_whole_number_of_seconds_up_to_an_hour_is_refused(bad: object) -> None:
    with pytest.raises(PolicyError) as refused:
        check_delay(bad)
    assert (refused.value.field, refused.value.code) == ("graceful_delay", "range")
    if bad is not None:
        for refuse in (
            lambda: check_vm_setting(Setting(force=True, delay=bad)),  # type: ignore[arg-type]
            lambda: effective(Setting(), DEFAULT, Setting(force=True, delay=bad)),  # type: ignore[arg-type]
        ):
            with pytest.raises(PolicyError, match="graceful_delay: range"):
                refuse()


@pytest.mark.parametrize("good", [0, 1, 60, 3599, 3600])
def test_a_whole_number_of_seconds_up_to_an_hour_is_accepted(good: int) -> None:
    check_delay(good)
    check_vm_setting(Setting(force=True, delay=good))


@pytest.mark.behaviour(4)
@pytest.mark.parametrize("force", [None, False])
def test_a_vm_without_its_own_force_may_not_have_a_delay_of_zero(force: bool | None) -> None:
    with pytest.raises(PolicyError) as refused:
        check_vm_setting(Setting(force, 0))
    assert (refused.value.field, refused.value.code) == ("graceful_delay", "zero_needs_force")


@pytest.mark.parametrize("setting", [Setting(), Setting(force=True), Setting(force=False), Setting(delay=1)])
def test_a_vm_may_leave_either_part_unset(setting: Setting) -> None:
    check_vm_setting(setting)


@pytest.mark.behaviour(4)
def test_a_vm_that_is_forced_at_once_refuses_a_request_without_force() -> None:
    vm = Setting(force=True, delay=0)
    assert effective(vm, DEFAULT) == Policy(True, 0, Origin.VM, Origin.VM)
    with pytest.raises(PolicyError) as refused:
        effective(vm, DEFAULT, Setting(force=False))
    assert (refused.value.field, refused.value.code) == ("force", "zero_needs_force")
    assert effective(vm, DEFAULT, Setting(force=False, delay=20)).delay == 20


def test_a_request_for_no_wait_needs_force_from_somewhere() -> None:
    with pytest.raises(PolicyError) as refused:
        effective(Setting(), DEFAULT, Setting(delay=0))
    assert (refused.value.field, refused.value.code) == ("graceful_delay", "zero_needs_force")
    assert effective(Setting(), DEFAULT, Setting(force=True, delay=0)).delay == 0
    assert effective(Setting(), DEFAULT, Setting(delay=0), must_apply_changes=True).delay == 0


@pytest.mark.parametrize("incomplete", [Setting(), Setting(force=True), Setting(delay=60)])
def test_an_incomplete_portal_default_is_a_programming_error(incomplete: Setting) -> None:
    with pytest.raises(ValueError, match="complete"):
        effective(Setting(True, 5), incomplete)


def test_an_error_names_its_field_and_code() -> None:
    assert str(PolicyError("force", "zero_needs_force")) == "force: zero_needs_force"


# Plans

LADDERS = """
| agent | acpi | force | delay | steps                                     |
| yes   | yes  | no    | 15    | ask_agent@0 press_button@7 give_up@15     |
| yes   | yes  | yes   | 15    | ask_agent@0 press_button@7 power_off@15   |
| yes   | no   | no    | 15    | ask_agent@0 give_up@15                    |
| yes   | no   | yes   | 15    | ask_agent@0 power_off@15                  |
| no    | yes  | no    | 15    | press_button@0 give_up@15                 |
| no    | yes  | yes   | 15    | press_button@0 power_off@15               |
| no    | no   | no    | 15    | refused@0                                 |
| no    | no   | yes   | 15    | power_off@0                               |
| yes   | yes  | yes   | 0     | power_off@0                               |
| yes   | no   | yes   | 0     | power_off@0                               |
| no    | yes  | yes   | 0     | power_off@0                               |
| no    | no   | yes   | 0     | power_off@0                               |
| yes   | yes  | no    | 3600  | ask_agent@0 press_button@1800 give_up@3600 |
"""
LADDER_ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LADDERS.strip().splitlines()[1:]]


@pytest.mark.behaviour(4, 5, 6, 34)
@pytest.mark.parametrize(("agent", "acpi", "force", "delay", "steps"), LADDER_ROWS)
def test_the_ladder_says_who_is_asked_when_and_what_happens_at_the_delay(
    agent: str, acpi: str, force: str, delay: str, steps: str
) -> None:
    policy = policy_of(force=force == "yes", delay=int(delay))
    ladder = power_down_ladder(policy, agent=agent == "yes", acpi=acpi == "yes")
    assert " ".join(f"{step.kind}@{step.after}" for step in ladder) == steps

    seen = Observation(DomainState.RUNNING, agent_connected=agent == "yes", acpi=acpi == "yes")
    assert plan(Action.SHUT_DOWN, policy, Situation(seen)).steps == ladder
    reboot = plan(Action.REBOOT, policy, Situation(seen))
    refused = ladder[-1].kind is PlanKind.REFUSED
    assert reboot.possible is not refused
    assert [step.kind for step in reboot.steps[len(ladder) :]] == ([] if refused else [PlanKind.START])


@pytest.mark.behaviour(4, 34)
@pytest.mark.parametrize(
    ("agent", "acpi", "force", "delay"),
    list(itertools.product([Ear.IGNORES, None], [Ear.IGNORES, None], [True, False], [1, 2, 9, 15, 20])),
)
def test_a_stubborn_guest_gets_what_the_plan_says_when_the_plan_says(
    agent: Ear | None, acpi: Ear | None, force: bool, delay: int
) -> None:
    vm = Vm(Temper(agent, acpi))
    policy = policy_of(force=force, delay=delay)
    planned = plan(Action.SHUT_DOWN, policy, Situation(vm.observe())).steps
    done = Driver(vm, accepted(Action.SHUT_DOWN, policy)).run()

    said = {step.kind: step.after for step in planned}
    did: dict[str, float] = {}
    for called in vm.log:
        did.setdefault(called.kind, called.at)
    names = {PlanKind.ASK_AGENT: "ask_agent", PlanKind.PRESS_BUTTON: "press_button", PlanKind.POWER_OFF: "destroy"}
    for kind, name in names.items():
        assert (kind in said) == (name in did)
        # The button is due at half the delay; the plan says it in whole seconds.
        assert kind not in said or said[kind] == int(did[name])
    assert done.now == planned[-1].after


@pytest.mark.parametrize(
    ("action", "seen", "steps"),
    [
        (Action.POWER_OFF, Observation(DomainState.RUNNING), ["power_off"]),
        (Action.POWER_OFF, Observation(DomainState.PAUSED), ["power_off"]),
        (Action.POWER_OFF, Observation(DomainState.DOWN, managed_save=True), ["discard_memory"]),
        (Action.POWER_CYCLE, Observation(DomainState.RUNNING), ["power_off", "start"]),
        (Action.RUN, Observation(DomainState.DOWN), ["start"]),
        (Action.RUN, Observation(DomainState.DOWN, managed_save=True), ["restore"]),
        (Action.RUN, Observation(DomainState.PAUSED), ["resume"]),
        (Action.RUN, Observation(DomainState.SLEEPING), ["resume"]),
        (Action.RESUME, Observation(DomainState.PAUSED), ["resume"]),
        (Action.RESUME, Observation(DomainState.DOWN, managed_save=True), ["restore"]),
        (Action.SUSPEND, Observation(DomainState.RUNNING), ["save"]),
    ],
)
def test_an_action_that_asks_no_guest_plans_without_a_policy(
    action: Action, seen: Observation, steps: list[str]
) -> None:
    planned = plan(action, None, Situation(seen))
    assert [step.kind for step in planned.steps] == steps
    assert planned.possible
    assert plan(action, policy_of(force=True, delay=5), Situation(seen)) == planned


@pytest.mark.parametrize("action", [Action.SHUT_DOWN, Action.REBOOT])
def test_a_graceful_action_needs_a_policy_to_plan(action: Action) -> None:
    with pytest.raises(ValueError, match="policy"):
        plan(action, None, Situation(Observation(DomainState.RUNNING)))


@pytest.mark.behaviour(34)
def test_a_plan_can_be_stored_as_json() -> None:
    policy = effective(Setting(force=True), DEFAULT, Setting(delay=10))
    subject = Subject("web01", "kvm1", VmStatus.UP, "2030-01-01T00:00:00+00:00")
    situation = Situation(Observation(DomainState.RUNNING, agent_connected=True))
    planned = plan(Action.REBOOT, policy, situation, subject)
    assert json.loads(json.dumps(planned.as_json())) == {
        "action": "reboot",
        "policy": {"force": True, "delay": 10, "force_origin": "vm", "delay_origin": "request"},
        "steps": [
            {"kind": "ask_agent", "after": 0},
            {"kind": "press_button", "after": 5},
            {"kind": "power_off", "after": 10},
            {"kind": "start", "after": None},
        ],
        "consequences": [],
        "changes": [],
        "subject": {"name": "web01", "host": "kvm1", "status": "up", "up_since": "2030-01-01T00:00:00+00:00"},
    }
    for action in Action:
        json.dumps(plan(action, policy, Situation(Observation(DomainState.RUNNING))).as_json())

"""Shut down and reboot on a guest of every temper, with force and without: outcome, calls, times, status, events.

All guests are asked at once and waited for together, so the whole table costs little more than its slowest row.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.core.management import call_command
from pytest_django import DjangoDbBlocker

from tests.engine.harness import Engine, engine_on
from tests.support.fake import FakeDaemon
from vms import actions
from vms.domain import observation
from vms.domain.operation import Outcome
from vms.domain.policy import Setting
from vms.domain.power import Action, VmStatus
from vms.engine.records import Code
from vms.hypervisor.fake import Agent, Reaction, Temper
from vms.models import Operation, VirtualMachine

# The tests themselves need no database, but without this mark none is made for `played`.
pytestmark = pytest.mark.django_db

#: The graceful delay of every row, in seconds: longer than the 10 s after which the button is pressed again by more
#: than a busy machine may be late.
D = 20
#: How much later than planned a call may reach the host: the sweep's second, and a busy machine.
LATE = 8
#: How many VMs the one thread that does the engine's work keeps up with, also on a busy machine.
AT_ONCE = 16

AGENT, BUTTON, OFF = "ask_agent", "press_button", "destroy"


@dataclass(frozen=True)
class Row:
    """What is to come of asking a guest of one temper.

    Attributes:
        asks: The calls up to the end of the delay, each with its moment in seconds after the first.
        outcome: How it goes down in time; None for a guest that does not.
    """

    temper: Temper
    asks: tuple[tuple[str, float], ...]
    outcome: Outcome | None = None


ROWS = {
    "obedient": Row(Temper(), ((AGENT, 0),), Outcome.CLEAN_AGENT),
    "acpi only": Row(Temper(agent=Agent.NONE), ((BUTTON, 0),), Outcome.CLEAN_ACPI),
    "slow, within the first half": Row(Temper(slow=1.5), ((AGENT, 0),), Outcome.CLEAN_AGENT),
    "slow, within the delay": Row(Temper(slow=16), ((AGENT, 0), (BUTTON, D / 2)), Outcome.CLEAN_ACPI),
    "slow, beyond the delay": Row(Temper(slow=60), ((AGENT, 0), (BUTTON, D / 2))),
    "stubborn": Row(Temper(agent=Agent.IGNORES, button=False), ((AGENT, 0), (BUTTON, D / 2))),
    "stubborn without agent": Row(Temper(agent=Agent.NONE, button=False), ((BUTTON, 0), (BUTTON, 10))),
    "agent refuses": Row(Temper(agent=Agent.REFUSES), ((AGENT, 0), (BUTTON, 0)), Outcome.CLEAN_ACPI),
    "agent ignores, button works": Row(Temper(agent=Agent.IGNORES), ((AGENT, 0), (BUTTON, D / 2)), Outcome.CLEAN_ACPI),
    "agent off": Row(Temper(agent=Agent.OFF), ((BUTTON, 0),), Outcome.CLEAN_ACPI),
    "agent without acpi": Row(Temper(acpi=False), ((AGENT, 0),), Outcome.CLEAN_AGENT),
    "agent ignores, no acpi": Row(Temper(agent=Agent.IGNORES, acpi=False), ((AGENT, 0),)),
    "agent drops": Row(Temper(agent=Agent.DROPS), ((AGENT, 0), (BUTTON, D / 2)), Outcome.CLEAN_ACPI),
    "agent drops, no acpi": Row(Temper(agent=Agent.DROPS, acpi=False), ((AGENT, 0),)),
    "panics when told to halt": Row(Temper(told_to_halt=Reaction.PANIC), ((AGENT, 0),), Outcome.DONE),
    "halts when told to restart": Row(Temper(told_to_reboot=Reaction.HALT), ((AGENT, 0),), Outcome.CLEAN_AGENT),
    "resets when told to halt": Row(Temper(told_to_halt=Reaction.REBOOT), ((AGENT, 0),), Outcome.CLEAN_AGENT),
}
CASES = [
    pytest.param(name, action, force, id=f"{action}-{'force' if force else 'no force'}-{name}")
    for name in ROWS
    for action in (Action.SHUT_DOWN, Action.REBOOT)
    for force in (False, True)
]
Case = tuple[str, Action, bool]


@dataclass(frozen=True)
class Played:
    """What came of one case.

    Attributes:
        calls: What the host was asked, each with its moment in seconds after the first ask.
        runs: How often the VM was started in all, the first time included.
        armed: A reset by the guest would still end its run.
    """

    outcome: str
    calls: tuple[tuple[str, float], ...]
    status: str
    codes: tuple[int, ...]
    runs: int
    running: bool
    armed: bool


@pytest.fixture(scope="module")
def played(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> dict[Case, Played]:
    """Play every case at once and return what came of each."""
    with contextlib.ExitStack() as stack:
        fake = FakeDaemon(tmp_path_factory.mktemp("fake"))
        stack.callback(fake.close)
        fake.start()
        stack.enter_context(django_db_blocker.unblock())
        stack.callback(call_command, "flush", verbosity=0, interactive=False)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        # A guest whose agent is off counts as up a minute after its start; nobody waits for that here.
        patch.setattr(observation, "UP_WITHOUT_AGENT_AFTER", timedelta(seconds=1))
        return _play(stack.enter_context(engine_on(fake)))


def _play(engine: Engine) -> dict[Case, Played]:
    cases: list[Case] = [param.values for param in CASES]  # type: ignore[misc]
    played: dict[Case, Played] = {}
    for begin in range(0, len(cases), AT_ONCE):
        played |= _play_at_once(engine, cases[begin : begin + AT_ONCE])
    return played


def _play_at_once(engine: Engine, cases: list[Case]) -> dict[Case, Played]:
    vms = engine.define_all([ROWS[name].temper for name, _, _ in cases])
    operations = [
        actions.request(engine.admin, vm, action, override=Setting(force, D))
        for vm, (_, action, force) in zip(vms, cases, strict=True)
    ]
    engine.finish_all(operations)
    came = {
        case: _what_came_of(engine, vm, operation) for case, vm, operation in zip(cases, vms, operations, strict=True)
    }
    for vm in vms:
        engine.undefine(vm)
    return came


def _what_came_of(engine: Engine, vm: VirtualMachine, operation: Operation) -> Played:
    operation.refresh_from_db()
    uuid = str(vm.uuid)
    log = engine.fake.control.log(uuid, names=(AGENT, BUTTON, OFF, "start"), call=True)
    inside = engine.fake.control.inside(uuid)
    return Played(
        outcome=operation.outcome,
        calls=tuple((entry.name, entry.at - log[0].at) for entry in log),
        status=engine.status(vm),
        codes=tuple(operation.events.order_by("id").values_list("code", flat=True)),
        runs=inside["runs"],
        running=inside["run"] is not None,
        armed=inside["run"] is not None and inside["run"]["on_reboot"] == "destroy",
    )


@pytest.mark.behaviour(1)
@pytest.mark.behaviour(2)
@pytest.mark.behaviour(3)
@pytest.mark.parametrize(("name", "action", "force"), CASES)
def test_a_guest_is_brought_down_as_its_policy_says(
    played: dict[Case, Played], name: str, action: Action, force: bool
) -> None:
    row, came = ROWS[name], played[name, action, force]
    in_time = row.outcome is not None
    assert came.outcome == (row.outcome or (Outcome.FORCED if force else Outcome.GAVE_UP))

    planned = [*row.asks]
    if not in_time and force:
        planned.append((OFF, D))
    went_down = in_time or force
    names = [call for call, _ in planned] + (["start"] if went_down and action is Action.REBOOT else [])
    assert [call for call, _ in came.calls] == names
    for (call, moment), (_, planned_moment) in zip(came.calls, planned, strict=False):
        assert planned_moment - 0.05 <= moment < planned_moment + LATE, call


@pytest.mark.behaviour(16)
@pytest.mark.parametrize(("name", "action", "force"), CASES)
def test_the_vm_ends_as_was_asked_for_and_shows_it(
    played: dict[Case, Played], name: str, action: Action, force: bool
) -> None:
    came = played[name, action, force]
    went_down = ROWS[name].outcome is not None or force
    assert came.running is (action is Action.REBOOT or not went_down)
    assert came.runs == (2 if went_down and action is Action.REBOOT else 1)
    assert came.status == (VmStatus.UP if came.running else VmStatus.DOWN)
    assert not came.armed


@pytest.mark.behaviour(32)
@pytest.mark.parametrize(("name", "action", "force"), CASES)
def test_events_tell_how_it_began_and_how_it_ended(
    played: dict[Case, Played], name: str, action: Action, force: bool
) -> None:
    went_down = ROWS[name].outcome is not None or force
    if action is Action.REBOOT:
        ends = (Code.COLD_REBOOT_DOWN, Code.VM_REBOOTED) if went_down else (Code.COLD_REBOOT_GAVE_UP,)
        expected: tuple[Code, ...] = (Code.ACCEPTED, *ends)
    else:
        expected = (Code.VM_SHUTDOWN_INITIATED, Code.VM_DOWN if went_down else Code.VM_POWER_DOWN_FAILED)
    assert played[name, action, force].codes == expected

"""Reboot and shut down, from the request to the outcome, on guests of every temper."""

from __future__ import annotations

import pytest

from tests.engine.harness import Engine
from vms import actions
from vms.domain.operation import Outcome
from vms.domain.power import VmStatus
from vms.engine.records import Code
from vms.hypervisor.fake import ACPI_ONLY, OBEDIENT, STUBBORN, Temper


@pytest.mark.behaviour(5)
def test_an_obedient_guest_is_asked_by_its_agent_and_started_again(engine: Engine) -> None:
    vm = engine.define(temper=OBEDIENT)
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert operation.outcome == Outcome.CLEAN_AGENT
    assert engine.calls(vm) == ["ask_agent", "start"]
    vm.refresh_from_db()
    assert vm.status == VmStatus.UP


@pytest.mark.behaviour(5)
def test_a_guest_without_an_agent_hears_the_power_button_at_once(engine: Engine) -> None:
    vm = engine.define(temper=ACPI_ONLY)
    operation = engine.finish(actions.reboot(engine.admin, vm, delay=3600))
    assert operation.outcome == Outcome.CLEAN_ACPI
    assert engine.calls(vm) == ["press_button", "start"]


@pytest.mark.behaviour(1)
def test_a_stubborn_guest_is_given_up_on_and_nothing_is_left_behind(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = engine.finish(actions.reboot(engine.admin, vm, delay=2))
    assert operation.outcome == Outcome.GAVE_UP
    vm.refresh_from_db()
    assert vm.status == VmStatus.UP
    assert engine.calls(vm) == ["ask_agent", "press_button"]
    assert Code.COLD_REBOOT_GAVE_UP in engine.codes(vm)
    assert not a_reset_would_end_the_run(engine, vm.uuid)


@pytest.mark.behaviour(2)
def test_a_stubborn_guest_is_powered_off_at_the_end_of_the_delay_and_runs_again(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = engine.finish(actions.reboot(engine.admin, vm, force=True, delay=2))
    assert operation.outcome == Outcome.FORCED
    assert engine.calls(vm) == ["ask_agent", "press_button", "destroy", "start"]
    destroyed = next(step for step in operation.steps.all() if step.kind == "destroy")
    assert operation.asked_at is not None
    assert 2 <= (destroyed.at - operation.asked_at).total_seconds() < 3


@pytest.mark.behaviour(1)
def test_a_guest_that_goes_down_after_it_was_given_up_on_stays_down_and_is_told_of(engine: Engine) -> None:
    vm = engine.define(temper=Temper(slow=3))
    engine.finish(actions.reboot(engine.admin, vm, delay=1))

    def down() -> bool:
        vm.refresh_from_db()
        return vm.status == VmStatus.DOWN

    engine.run(down, "the guest has obeyed late")
    late = vm.events.get(code=Code.OBEYED_LATE)
    assert "2 s after" in late.message
    assert "A graceful delay of 4 s would have been enough" in late.message
    assert "start" not in engine.calls(vm)


def a_reset_would_end_the_run(engine: Engine, uuid: object) -> bool:
    """Say whether a reset by the guest would still end its run."""
    driver = engine.fake.connect()
    try:
        return driver.observe(str(uuid)).seen.reset_ends_run
    finally:
        driver.close()

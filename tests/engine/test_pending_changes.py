"""Changes of the stored configuration: how they reach the host, and the reboot that applies them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.harness import Engine
from vms import actions
from vms.actions import Refused
from vms.domain.configuration import MIB, Change, Part
from vms.domain.errors import ConfigurationError
from vms.domain.operation import Outcome
from vms.domain.policy import Origin, Setting
from vms.domain.power import Action, VmStatus
from vms.engine.records import Code
from vms.hypervisor.fake import OBEDIENT, STUBBORN, Temper
from vms.models import ConfigurationChange, VirtualMachine

BEFORE, AFTER = 128 * MIB, 256 * MIB


def changed(engine: Engine, temper: Temper = OBEDIENT, **fields: Any) -> VirtualMachine:
    """Return a running VM whose stored memory was just doubled."""
    vm = engine.define(temper=temper, **fields)
    assert actions.configure(engine.admin, vm, {Part.MEMORY: AFTER})
    engine.drain()
    vm.refresh_from_db()
    return vm


@pytest.mark.behaviour(11)
def test_a_change_of_a_running_vm_waits_for_the_next_cold_start(engine: Engine) -> None:
    vm = changed(engine)
    assert engine.fake.control.inside(str(vm.uuid))["memory"] == AFTER
    assert vm.pending == (Change(Part.MEMORY, BEFORE, AFTER),)
    assert vm.pending_count == 1
    assert engine.codes(vm)[-1] == Code.VM_UPDATED


@pytest.mark.behaviour(11)
def test_a_change_of_a_vm_that_is_down_waits_for_nothing(engine: Engine) -> None:
    vm = changed(engine, running=False)
    assert (vm.pending, vm.stored.memory) == ((), AFTER)


@pytest.mark.behaviour(11)
def test_a_change_made_outside_the_portal_waits_as_well_and_is_gone_when_it_is_taken_back_there(engine: Engine) -> None:
    vm = engine.define()
    engine.fake.control.change(str(vm.uuid), vcpus=4)
    engine.run(lambda: engine.status(vm) and vm.pending, "the change is seen")
    assert vm.pending == (Change(Part.VCPUS, 1, 4),)
    engine.fake.control.change(str(vm.uuid), vcpus=1)
    engine.run(lambda: engine.status(vm) and not vm.pending, "nothing waits any more")


@pytest.mark.behaviour(11)
def test_a_change_is_taken_back_by_part(engine: Engine) -> None:
    vm = changed(engine)
    actions.configure(engine.admin, vm, {Part.VCPUS: 4})
    actions.revert(engine.admin, vm, [Part.MEMORY])
    engine.drain()
    vm.refresh_from_db()
    assert vm.pending == (Change(Part.VCPUS, 1, 4),)
    with pytest.raises(Refused, match="waits any more"):
        actions.revert(engine.admin, vm, [Part.MEMORY])
    actions.revert(engine.admin, vm, list(Part))
    engine.drain()
    vm.refresh_from_db()
    assert not vm.pending


@pytest.mark.behaviour(10)
def test_a_reboot_that_must_apply_changes_is_forced_and_applies_them(engine: Engine) -> None:
    vm = changed(engine, STUBBORN)
    actions.set_policy(engine.admin, vm, Setting(False, 1))
    vm.refresh_from_db()
    preview = actions.preview(vm, Action.REBOOT)
    assert preview.plan is not None
    assert preview.plan.policy is not None
    assert (preview.plan.policy.force, preview.plan.policy.force_origin) == (True, Origin.PENDING_CHANGES)
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert operation.outcome == Outcome.FORCED
    vm.refresh_from_db()
    assert (vm.pending, vm.memory, vm.status) == ((), AFTER, VmStatus.UP)


@pytest.mark.behaviour(10)
def test_only_an_explicit_no_wins_over_changes_which_then_go_on_waiting(engine: Engine) -> None:
    vm = changed(engine, STUBBORN)
    operation = engine.finish(actions.reboot(engine.admin, vm, force=False, delay=1))
    assert operation.outcome == Outcome.GAVE_UP
    vm.refresh_from_db()
    assert vm.pending == (Change(Part.MEMORY, BEFORE, AFTER),)
    assert "destroy" not in engine.calls(vm)


@pytest.mark.behaviour(10)
def test_a_reboot_accepted_before_the_host_stored_the_change_is_forced_too(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    actions.configure(engine.admin, vm, {Part.MEMORY: AFTER})
    operation = actions.reboot(engine.admin, vm, delay=1)
    assert operation.force_origin == Origin.PENDING_CHANGES
    assert engine.finish(operation).outcome == Outcome.FORCED
    vm.refresh_from_db()
    assert vm.memory == AFTER


@pytest.mark.behaviour(7)
def test_a_power_cycle_applies_changes(engine: Engine) -> None:
    vm = changed(engine)
    engine.finish(actions.power_cycle(engine.admin, vm))
    vm.refresh_from_db()
    assert (vm.pending, vm.memory) == ((), AFTER)


@pytest.mark.behaviour(15)
def test_a_host_that_is_busy_with_the_vm_is_asked_again_and_the_old_configuration_never_starts(engine: Engine) -> None:
    vm = engine.define()
    engine.fake.control.fail(str(vm.uuid), "configure", times=2, text="cannot acquire state change lock")
    actions.configure(engine.admin, vm, {Part.MEMORY: AFTER})
    engine.finish(actions.reboot(engine.admin, vm))
    vm.refresh_from_db()
    assert vm.memory == AFTER
    log = engine.fake.control.log(str(vm.uuid), names=("configure", "start"), call=True)
    assert [(entry.name, entry.effect) for entry in log] == [
        ("configure", False),
        ("configure", False),
        ("configure", True),
        ("start", True),
    ]


@pytest.mark.behaviour(15)
def test_a_change_that_the_host_never_takes_is_given_up_with_its_reason(engine: Engine) -> None:
    vm = engine.define()
    engine.fake.control.change(str(vm.uuid), cd_image=None)
    actions.configure(engine.admin, vm, {Part.CD_IMAGE: "/rescue.iso"})
    engine.drain()
    change = ConfigurationChange.objects.get(vm=vm)
    assert (change.state, change.error) == ("failed", "the VM has no CD drive")
    event = vm.events.get(code=Code.VM_UPDATE_FAILED)
    assert "no CD drive" in event.message
    vm.refresh_from_db()
    assert vm.change_waits is False


def test_nobody_changes_what_cannot_be_changed(engine: Engine) -> None:
    vm = engine.define()
    with pytest.raises(ConfigurationError):
        actions.configure(engine.admin, vm, {Part.MEMORY: 3})
    VirtualMachine.objects.filter(pk=vm.pk).update(status=VmStatus.SUSPENDED)
    with pytest.raises(Refused, match="because it is Suspended"):
        actions.configure(engine.admin, vm, {Part.MEMORY: AFTER})
    assert actions.configure(engine.admin, vm, {Part.DESCRIPTION: "Said in every status"})
    assert not actions.configure(engine.admin, vm, {Part.VCPUS: 1})
    assert ConfigurationChange.objects.count() == 1


@pytest.mark.behaviour(12)
def test_a_restart_by_the_guest_does_not_apply_changes(engine: Engine) -> None:
    vm = changed(engine)
    engine.fake.control.hand(str(vm.uuid), "guest_reboot")
    engine.drain()
    vm.refresh_from_db()
    assert vm.pending_count == 1
    assert "start" not in engine.calls(vm)


@pytest.mark.behaviour(12)
@pytest.mark.parametrize("away", [False, True])
def test_a_restart_by_the_guest_becomes_a_cold_start_where_that_was_chosen(engine: Engine, away: bool) -> None:
    vm = engine.define()
    VirtualMachine.objects.filter(pk=vm.pk).update(apply_on_guest_reboot=True)
    actions.configure(engine.admin, vm, {Part.MEMORY: AFTER})
    engine.run(lambda: engine.fake.control.inside(str(vm.uuid))["run"]["on_reboot"] == "destroy", "it is armed")
    engine.hears = not away
    engine.fake.control.hand(str(vm.uuid), "guest_reboot")
    if away:
        engine.list_domains()
    engine.run(lambda: engine.status(vm) == VmStatus.UP and vm.memory == AFTER, "it was started with the change")
    assert engine.calls(vm) == ["start"]
    operation = vm.operations.get()
    assert (operation.actor_name, operation.outcome) == ("portal", Outcome.DONE)
    assert vm.armed is False


@pytest.mark.behaviour(12)
def test_nothing_is_armed_once_nothing_waits(engine: Engine) -> None:
    vm = engine.define()
    VirtualMachine.objects.filter(pk=vm.pk).update(apply_on_guest_reboot=True)
    actions.configure(engine.admin, vm, {Part.MEMORY: AFTER})
    engine.run(lambda: engine.fake.control.inside(str(vm.uuid))["run"]["on_reboot"] == "destroy", "it is armed")
    actions.revert(engine.admin, vm, [Part.MEMORY])
    engine.run(lambda: engine.fake.control.inside(str(vm.uuid))["run"]["on_reboot"] == "restart", "it is not armed")
    vm.refresh_from_db()
    assert vm.armed is False


@pytest.mark.behaviour(12)
def test_an_armed_vm_that_somebody_destroys_stays_down(engine: Engine) -> None:
    vm = engine.define()
    VirtualMachine.objects.filter(pk=vm.pk).update(apply_on_guest_reboot=True)
    actions.configure(engine.admin, vm, {Part.MEMORY: AFTER})
    engine.run(lambda: engine.fake.control.inside(str(vm.uuid))["run"]["on_reboot"] == "destroy", "it is armed")
    engine.fake.control.hand(str(vm.uuid), "destroy")
    engine.run(lambda: engine.status(vm) == VmStatus.DOWN, "it is down")
    assert not vm.operations.exists()

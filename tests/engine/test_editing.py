"""Edit: what a person changed is saved together or not at all, and carried to the host."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from tests.engine.harness import Engine
from tests.engine.test_actions import Person
from vms import actions
from vms.domain.configuration import Part
from vms.domain.errors import ConfigurationError, PolicyError
from vms.domain.policy import Option, Setting
from vms.domain.power import VmStatus
from vms.engine.records import Code
from vms.models import ConfigurationChange, Event, VirtualMachine

GIB = 1 << 30
#: Each is fine by itself.
SETTING: actions.SettingChange = {"force": True, "delay": 0}
OPTIONS = {Option.RESTART_INSIDE: True}
VALUES: dict[Part, Any] = {Part.MEMORY: 2 * GIB}


def untouched(vm: VirtualMachine) -> bool:
    """Say whether nothing at all was saved of it."""
    vm.refresh_from_db()
    plain = vm.policy_setting == Setting() and not (vm.restart_inside or vm.stateless or vm.apply_on_guest_reboot)
    return (
        plain and not ConfigurationChange.objects.exists() and not Event.objects.filter(code=Code.VM_UPDATED).exists()
    )


def test_all_of_it_is_saved_and_stored_by_the_host(engine: Engine) -> None:
    vm = engine.define()
    actions.edit(engine.admin, vm, setting=SETTING, options=OPTIONS, values=VALUES, correlation_id="abc")
    engine.run(lambda: not VirtualMachine.objects.get(pk=vm.pk).change_waits, "the host has stored it")
    engine.list_domains()
    vm.refresh_from_db()
    assert (vm.policy_setting, vm.restart_inside) == (Setting(True, 0), True)
    assert (vm.stored.memory, vm.pending_count) == (2 * GIB, 1)
    told = {event.message for event in Event.objects.filter(vm=vm, code=Code.VM_UPDATED)}
    assert "Policy of web01 changed: restart inside the guest on." in told
    assert any("Memory: 2 GiB" in message for message in told)


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"setting": {"force": False, "delay": 0}}, PolicyError),
        ({"setting": {"delay": 4000}}, PolicyError),
        ({"values": {Part.MEMORY: 0}}, ConfigurationError),
        ({"values": {Part.VCPUS: 2, Part.BOOT: ("fd",)}}, ConfigurationError),
    ],
)
def test_one_mistake_and_nothing_is_saved(engine: Engine, wrong: dict[str, Any], refusal: type[Exception]) -> None:
    vm = engine.define()
    everything: dict[str, Any] = {"setting": SETTING, "options": OPTIONS, "values": VALUES}
    with pytest.raises(refusal):
        actions.edit(engine.admin, vm, **(everything | wrong))
    assert untouched(vm)


def test_a_status_that_refuses_the_configuration_refuses_all_of_it(engine: Engine) -> None:
    vm = engine.define()
    VirtualMachine.objects.filter(pk=vm.pk).update(status=VmStatus.SUSPENDED)
    with pytest.raises(actions.Refused, match="because it is Suspended"):
        actions.edit(engine.admin, vm, setting=SETTING, options=OPTIONS, values=VALUES)
    assert untouched(vm)


def test_who_may_do_everything_else_may_not_edit(engine: Engine, person: Person) -> None:
    vm = engine.define()
    for change in ({"setting": SETTING}, {"options": OPTIONS}, {"values": VALUES}):
        with pytest.raises(PermissionDenied):
            actions.edit(person("view_vm", "reboot_vm", name=str(change)), vm, **change)
    assert untouched(vm)


def test_what_is_not_named_stays_as_it_is_now(engine: Engine) -> None:
    vm = engine.define()
    read_before = VirtualMachine.objects.get(pk=vm.pk)
    actions.edit(engine.admin, vm, setting={"force": True}, options={Option.STATELESS: True})
    actions.edit(engine.admin, read_before, setting={"delay": 30}, options={Option.RESTART_INSIDE: True})
    vm.refresh_from_db()
    assert vm.policy_setting == Setting(True, 30)
    assert (vm.stateless, vm.restart_inside) == (True, True)


def test_an_option_that_is_set_already_is_no_news(engine: Engine) -> None:
    vm = engine.define()
    actions.set_options(engine.admin, vm, {Option.STATELESS: False})
    assert untouched(vm)


@pytest.mark.behaviour(12)
def test_the_option_to_apply_on_a_guests_restart_reaches_the_host_at_once(engine: Engine) -> None:
    vm = engine.define()
    actions.edit(engine.admin, vm, values=VALUES)
    engine.run(lambda: VirtualMachine.objects.get(pk=vm.pk).pending_count, "the change waits")
    actions.edit(engine.admin, vm, options={Option.APPLY_ON_GUEST_REBOOT: True})
    engine.run(lambda: VirtualMachine.objects.get(pk=vm.pk).armed, "a restart by the guest would end the run")
    actions.edit(engine.admin, vm, options={Option.APPLY_ON_GUEST_REBOOT: False})
    engine.run(lambda: not VirtualMachine.objects.get(pk=vm.pk).armed, "it would not any more")

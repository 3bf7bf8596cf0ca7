"""Runs that differ from what is stored: run once, stateless, and restarts inside the guest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.harness import Engine
from vms import actions
from vms.actions import Refused
from vms.domain.configuration import MIB
from vms.domain.decide import Note
from vms.domain.errors import ConfigurationError
from vms.domain.operation import Failure, Outcome
from vms.domain.power import Action, VmStatus
from vms.domain.run_options import AS_STORED, RunOptions
from vms.engine import journal
from vms.hypervisor.fake import ACPI_ONLY, OBEDIENT, STUBBORN, Agent, Reaction, Temper
from vms.models import Operation, VirtualMachine

RESCUE = RunOptions(cd_image="/rescue.iso", memory=512 * MIB)


def options_of_run(engine: Engine, vm: VirtualMachine) -> RunOptions:
    """Return how a VM was started, by the host's own word."""
    return RunOptions.of(engine.fake.control.inside(str(vm.uuid))["run"]["options"])


@pytest.mark.behaviour(13)
def test_a_vm_that_is_run_once_comes_back_from_a_reboot_as_it_is_stored(engine: Engine) -> None:
    vm = engine.define(running=False)
    assert engine.finish(actions.run_once(engine.admin, vm, RESCUE)).outcome == Outcome.DONE
    assert options_of_run(engine, vm) == RESCUE
    vm.refresh_from_db()
    assert (vm.run_once, vm.pending) == (True, ())
    preview = actions.preview(vm, Action.REBOOT)
    assert preview.plan is not None
    assert "ends_run_once" in preview.plan.consequences
    engine.finish(actions.reboot(engine.admin, vm))
    assert options_of_run(engine, vm) == AS_STORED
    vm.refresh_from_db()
    assert vm.run_once is False


def test_a_run_once_that_starts_paused_has_come_up_when_it_is_paused(engine: Engine) -> None:
    vm = engine.define(running=False)
    operation = engine.finish(actions.run_once(engine.admin, vm, RunOptions(paused=True)))
    assert operation.outcome == Outcome.DONE
    assert engine.status(vm) == VmStatus.PAUSED


def test_a_run_once_that_cannot_be_is_refused_before_anything_happens(engine: Engine) -> None:
    vm = engine.define(running=False)
    with pytest.raises(ConfigurationError, match="needs_kernel"):
        actions.run_once(engine.admin, vm, RunOptions(initrd="/initrd.img"))
    assert not vm.operations.exists()
    running = engine.define("web02")
    with pytest.raises(Refused, match="because it is"):
        actions.run_once(engine.admin, running, RESCUE)


@pytest.mark.behaviour(14)
def test_a_stateless_vm_starts_stateless_and_cannot_be_suspended(engine: Engine) -> None:
    vm = engine.define(running=False)
    VirtualMachine.objects.filter(pk=vm.pk).update(stateless=True)
    vm.refresh_from_db()
    engine.finish(actions.run(engine.admin, vm))
    assert options_of_run(engine, vm) == RunOptions(stateless=True)
    engine.run(lambda: engine.status(vm) == VmStatus.UP, "it is up")
    with pytest.raises(Refused, match="stateless"):
        actions.suspend(engine.admin, vm)
    preview = actions.preview(vm, Action.REBOOT)
    assert preview.plan is not None
    assert "loses_disk_writes" in preview.plan.consequences
    engine.finish(actions.reboot(engine.admin, vm))
    assert options_of_run(engine, vm) == RunOptions(stateless=True)


def test_saved_memory_is_restored_also_where_the_vm_was_made_stateless_since(engine: Engine) -> None:
    vm = engine.define()
    engine.finish(actions.suspend(engine.admin, vm))
    VirtualMachine.objects.filter(pk=vm.pk).update(stateless=True)
    vm.refresh_from_db()
    assert engine.finish(actions.run(engine.admin, vm)).outcome == Outcome.DONE
    assert options_of_run(engine, vm) == AS_STORED


def inside(engine: Engine, temper: Temper) -> VirtualMachine:
    """Return a running VM that prefers a restart inside the guest."""
    vm = engine.define(temper=temper)
    VirtualMachine.objects.filter(pk=vm.pk).update(restart_inside=True)
    vm.refresh_from_db()
    return vm


def test_a_guest_is_restarted_inside_in_the_same_run(engine: Engine) -> None:
    vm = inside(engine, OBEDIENT)
    before = engine.fake.control.inside(str(vm.uuid))["runs"]
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert operation.outcome == Outcome.GUEST_REBOOTED
    assert engine.fake.control.inside(str(vm.uuid))["runs"] == before
    assert engine.calls(vm) == ["ask_agent"]
    assert engine.status(vm) == VmStatus.UP


@pytest.mark.behaviour(16)
def test_a_guest_that_halts_when_told_to_restart_is_started_again(engine: Engine) -> None:
    vm = inside(engine, Temper(told_to_reboot=Reaction.HALT))
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert operation.outcome == Outcome.CLEAN_AGENT
    assert engine.calls(vm) == ["ask_agent", "start"]


@pytest.mark.parametrize("temper", [ACPI_ONLY, Temper(agent=Agent.REFUSES)])
def test_without_an_agent_that_does_it_the_vm_is_shut_down_and_run(engine: Engine, temper: Temper) -> None:
    vm = inside(engine, temper)
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert operation.outcome == Outcome.CLEAN_ACPI
    assert engine.calls(vm)[-2:] == ["press_button", "start"]


@pytest.mark.parametrize(("force", "outcome"), [(True, Outcome.FORCED), (False, Outcome.GAVE_UP)])
def test_at_the_end_of_the_delay_the_policy_holds(engine: Engine, force: bool, outcome: Outcome) -> None:
    vm = inside(engine, STUBBORN)
    operation = engine.finish(actions.reboot(engine.admin, vm, force=force, delay=1))
    assert (operation.outcome, operation.failure) == (outcome, Failure.NONE)
    assert engine.calls(vm) == ["ask_agent", *(["destroy", "start"] if force else [])]


@pytest.mark.behaviour(18)
def test_a_run_that_somebody_began_just_before_it_was_marked_anew_is_not_taken_for_the_old_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = inside(engine, Temper(agent=Agent.REFUSES))
    write_note = journal.note

    def note(row: Operation, move: Note, *args: Any) -> bool:
        written = write_note(row, move, *args)
        if move.falls_back:
            engine.fake.control.hand(str(vm.uuid), "destroy")
            engine.fake.control.hand(str(vm.uuid), "start")
        return written

    monkeypatch.setattr(journal, "note", note)
    operation = engine.finish(actions.reboot(engine.admin, vm, force=True, delay=1))
    assert operation.outcome == Outcome.OTHER_HAND
    assert engine.calls(vm) == ["ask_agent"]
    # What the mark armed was taken back.
    assert engine.fake.control.inside(str(vm.uuid))["run"]["on_reboot"] == "restart"

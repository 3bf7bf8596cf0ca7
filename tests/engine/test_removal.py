"""Removing VMs: disks are kept unless chosen, only a VM that is down goes, and a crash changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

from tests.engine.death import work_until_killed
from tests.engine.harness import Engine, at_once
from vms import actions, queries
from vms.domain.configuration import MIB, Part
from vms.domain.decide import pace
from vms.domain.disks import Disk, Kept
from vms.domain.operation import Failure, Outcome
from vms.domain.power import Action, VmStatus
from vms.engine.records import Code
from vms.models import ConfigurationChange, Event, Operation, VirtualMachine

Person = Callable[..., User]


def down(engine: Engine, name: str = "web01", disks: Sequence[str] = ("/images/a", "/images/b")) -> VirtualMachine:
    """Define a VM that is down, with these disks and a CD image."""
    for disk in disks:
        engine.fake.control.make_image(disk)
    found = [Disk(f"vd{number}", disk) for number, disk in enumerate(disks)]
    medium = Disk("hda", "/iso/debian.iso", Kept.MEDIUM)
    return engine.define(name, running=False, disks=[disk.as_json() for disk in (*found, medium)])


def images(engine: Engine) -> set[str]:
    """Return the disks whose data the host has."""
    return set(engine.fake.control.images())


def defined(engine: Engine, vm: VirtualMachine) -> bool:
    """Say whether the host has a definition of a VM."""
    return str(vm.uuid) in {domain.uuid for domain in engine.fake.connect().domains()}


def test_a_look_tells_the_disks(engine: Engine) -> None:
    vm = down(engine)
    assert [(disk.source, disk.may_go) for disk in vm.disk_list] == [
        ("/images/a", True),
        ("/images/b", True),
        ("/iso/debian.iso", False),
    ]


def test_a_vm_is_removed_and_its_disks_are_kept(engine: Engine) -> None:
    vm = down(engine)
    operation = actions.remove(engine.admin, vm, reason="replaced")
    assert engine.status(vm) == VmStatus.IMAGE_LOCKED
    assert engine.finish(operation).outcome == Outcome.DONE
    assert not defined(engine, vm)
    assert images(engine) == {"/images/a", "/images/b"}
    assert engine.status(vm) == VmStatus.GONE
    assert engine.calls(vm) == ["undefine"]
    assert engine.codes(vm)[-2:] == [Code.ACCEPTED, Code.VM_REMOVED], "nobody is warned of what was asked for"
    assert list(operation.steps.values_list("kind", "ok")) == [("undefine", True)]


def test_the_chosen_disks_go_and_no_others(engine: Engine) -> None:
    vm = down(engine)
    operation = engine.finish(actions.remove(engine.admin, vm, ["/images/b"]))
    assert operation.outcome == Outcome.DONE
    assert images(engine) == {"/images/a"}
    assert list(operation.steps.values_list("kind", "target")) == [("undefine", ""), ("remove_disk", "/images/b")]
    assert operation.plan["steps"] == [{"kind": "undefine", "after": 0}, {"kind": "remove_disks", "after": None}]


@pytest.mark.parametrize("disk", ["/iso/debian.iso", "/etc/passwd", "/images/A"])
def test_only_disks_of_the_vm_that_may_go_can_be_chosen(engine: Engine, disk: str) -> None:
    vm = down(engine)
    with pytest.raises(actions.Refused, match="cannot be removed together with web01"):
        actions.remove(engine.admin, vm, ["/images/a", disk])
    assert not Operation.objects.exists()
    with pytest.raises(ValueError, match="removes no disks"):
        actions.request(engine.admin, vm, Action.RUN, disks=["/images/a"])


def test_a_disk_that_another_vm_uses_stays_and_is_named_with_what_to_do(engine: Engine) -> None:
    vm, other = down(engine), down(engine, "web02", ["/images/a"])
    operation = engine.finish(actions.remove(engine.admin, vm, ["/images/a", "/images/b"]))
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.DISKS_LEFT)
    assert "/images/a is used by web02. Detach it there" in operation.failure_detail
    assert images(engine) == {"/images/a"}
    assert engine.status(vm) == VmStatus.GONE
    assert engine.status(other) == VmStatus.DOWN
    event = Event.objects.get(code=Code.VM_REMOVE_FAILED)
    assert "/images/a is used by web02" in event.message


def test_an_image_that_others_are_based_on_stays(engine: Engine) -> None:
    vm = down(engine, disks=["/images/base"])
    engine.fake.control.make_image("/images/overlay", "/images/base")
    operation = engine.finish(actions.remove(engine.admin, vm, ["/images/base"]))
    assert operation.failure == Failure.DISKS_LEFT
    assert "is the backing file of /images/overlay" in operation.failure_detail
    assert "/images/base" in images(engine)


def test_a_vm_that_runs_is_not_removed(engine: Engine) -> None:
    vm = engine.define()
    with pytest.raises(actions.Refused, match="Cannot remove web01 because it is Up"):
        actions.remove(engine.admin, vm)


def test_a_vm_that_somebody_starts_meanwhile_is_not_removed(engine: Engine) -> None:
    vm = down(engine)
    operation = actions.remove(engine.admin, vm, ["/images/a"])
    engine.fake.control.hand(str(vm.uuid), "start")
    assert engine.finish(operation).failure == Failure.NOT_DOWN
    assert defined(engine, vm)
    assert images(engine) == {"/images/a", "/images/b"}
    engine.run(lambda: engine.status(vm) == VmStatus.UP, "it shows Up")


@pytest.mark.behaviour(19)
def test_a_vm_that_somebody_else_undefined_keeps_its_disks(engine: Engine) -> None:
    vm = down(engine)
    operation = actions.remove(engine.admin, vm, ["/images/a"])
    engine.fake.control.hand(str(vm.uuid), "undefine")
    assert engine.finish(operation).failure == Failure.GONE
    assert images(engine) == {"/images/a", "/images/b"}


def test_while_one_is_removed_nothing_else_may_be_done_to_it(engine: Engine) -> None:
    vm = down(engine)
    first = actions.remove(engine.admin, vm)
    vm.refresh_from_db()
    for action in Action:
        with pytest.raises(actions.Refused, match="because it is Removing"):
            actions.request(engine.admin, vm, action)
    engine.finish(first)


def test_a_removal_and_a_run_that_meet_are_settled_by_the_first(engine: Engine) -> None:
    vm = down(engine)
    work = [lambda: actions.remove(engine.admin, vm), lambda: actions.run(engine.admin, vm)] * 4
    results = at_once(work)
    accepted = [result for result in results if isinstance(result, Operation)]
    assert len(accepted) == 1, results
    assert all(isinstance(result, Operation | actions.Refused) for result in results)


def test_only_who_may_remove_removes(engine: Engine, person: Person) -> None:
    vm = down(engine)
    with pytest.raises(PermissionDenied):
        actions.remove(person("view_vm", "change_vm", "run_vm", "power_off_vm", name="operator"), vm)
    assert engine.finish(actions.remove(person("remove_vm", name="remover"), vm)).outcome == Outcome.DONE


# Taking it off the portal's list


def gone(engine: Engine) -> VirtualMachine:
    """Return a VM that was removed on its host."""
    vm = down(engine)
    engine.finish(actions.remove(engine.admin, vm))
    return vm


def test_a_vm_that_is_gone_is_taken_off_the_list_without_its_host_and_keeps_its_history(engine: Engine) -> None:
    vm = gone(engine)
    engine.fake.control.refuse_connections()
    operation = actions.remove(engine.admin, vm)
    assert (operation.active, operation.outcome) == (False, Outcome.DONE)
    assert operation.plan["steps"] == [{"kind": "forget", "after": 0}]
    assert queries.vm_rows(engine.admin, [vm.pk]) == []
    vm.refresh_from_db()
    assert vm.status == VmStatus.GONE
    assert [row.vm.name for row in Operation.objects.select_related("vm")] == ["web01", "web01"]
    assert engine.codes(vm)[-2:] == [Code.ACCEPTED, Code.VM_REMOVED]


def test_disks_of_a_vm_that_is_gone_cannot_be_chosen(engine: Engine) -> None:
    vm = gone(engine)
    with pytest.raises(actions.Refused, match="cannot be removed together with"):
        actions.remove(engine.admin, vm, ["/images/a"])


def test_one_that_is_defined_again_comes_back_to_the_list(engine: Engine) -> None:
    vm = gone(engine)
    actions.remove(engine.admin, vm)
    engine.fake.control.define("web01", running=False, uuid=str(vm.uuid))
    engine.list_domains()
    assert engine.status(vm) == VmStatus.DOWN
    assert [row.vm for row in queries.vm_rows(engine.admin, [vm.pk])] == [vm]
    assert Event.objects.latest("id").message == "web01 was found on fake again."


def test_a_change_that_waited_does_not_bring_a_removed_vm_back(engine: Engine) -> None:
    vm = down(engine)
    engine.fake.control.fail(str(vm.uuid), "configure", times=2, text="the domain is busy")
    actions.configure(engine.admin, vm, {Part.MEMORY: 256 * MIB})
    vm.refresh_from_db()
    engine.finish(actions.remove(engine.admin, vm))
    waiting = ConfigurationChange.State.WAITING
    engine.run(lambda: not ConfigurationChange.objects.filter(state=waiting).exists(), "the change has ended")
    assert not defined(engine, vm)
    assert engine.status(vm) == VmStatus.GONE


# Crashes


@pytest.mark.behaviour(25)
def test_killed_anywhere_it_ends_as_if_nothing_had_happened(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SETTLE", timedelta(seconds=0.3))
    points = range(1, 25)
    vms = [down(engine, f"vm{point}", [f"/images/{point}-{disk}" for disk in "abc"]) for point in points]
    operations = [
        actions.remove(engine.admin, vm, [f"/images/{point}-a", f"/images/{point}-b"])
        for point, vm in zip(points, vms, strict=True)
    ]
    killed = work_until_killed({vm.pk: point for point, vm in zip(points, vms, strict=True)})
    assert 10 <= len(killed) < len(vms), "all points are tried, and there is an end of them"
    engine.finish_all(operations)
    for point, vm, operation in zip(points, vms, operations, strict=True):
        operation.refresh_from_db()
        assert operation.outcome == Outcome.DONE, point
        assert engine.status(vm) == VmStatus.GONE, point
        assert not defined(engine, vm)
        assert engine.calls(vm, effect=True) == ["undefine", "remove_disk", "remove_disk"], point
    assert images(engine) == {f"/images/{point}-c" for point in points}


@pytest.mark.parametrize("call", ["undefine", "remove_disk"])
def test_an_answer_that_is_lost_with_its_connection_is_no_failure(
    engine: Engine, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "SETTLE", timedelta(seconds=0.3))
    vm = down(engine)
    engine.fake.control.hold(str(vm.uuid), call, when="after")
    operation = actions.remove(engine.admin, vm, ["/images/a"])

    def cut() -> None:
        engine.fake.control.wait_held(str(vm.uuid), call)
        engine.fake.control.drop_connections()

    at_once([engine.drain, cut])
    engine.fake.control.release(str(vm.uuid), call)
    assert engine.finish(operation).outcome == Outcome.DONE
    assert images(engine) == {"/images/b"}
    assert engine.calls(vm, effect=True) == ["undefine", "remove_disk"]

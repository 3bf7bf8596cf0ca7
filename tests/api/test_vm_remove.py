"""DELETE of a VM."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.api.wire import Wire
from tests.support.scene import MakeVm
from vms.domain.disks import Disk, Kept
from vms.domain.power import Action, VmStatus
from vms.models import Operation, VirtualMachine

pytestmark = pytest.mark.django_db


@pytest.fixture
def down(make_vm: MakeVm) -> VirtualMachine:
    """A VM that is down, with a disk of its own and one that others share."""
    disks = [Disk("vda", "default/web01.qcow2"), Disk("vdb", "default/shared.raw", Kept.SHARED)]
    return make_vm(status=VmStatus.DOWN, disks=[disk.as_json() for disk in disks])


@pytest.mark.parametrize("query", ["", "?async=false&force=false", "?detach_only=true", "?detach_only"])
def test_its_disks_are_kept(admin: User, down: VirtualMachine, query: str) -> None:
    wire = Wire(admin)
    answer = wire.delete(down, query)
    operation = Operation.objects.get()
    assert (answer.status, answer.ref("job"), answer.text("status")) == (200, str(operation.pk), "complete")
    assert (operation.action, operation.disks) == (Action.REMOVE, [])
    assert wire.get(down).text("status") == "image_locked"


def test_its_disks_go_where_the_client_says_so(admin: User, down: VirtualMachine) -> None:
    assert Wire(admin).delete(down, "?detach_only=false&reason=retired").status == 200
    operation = Operation.objects.get()
    assert (operation.disks, operation.reason) == (["default/web01.qcow2"], "retired")


def test_one_that_runs_is_left_alone(admin: User, vm: VirtualMachine) -> None:
    answer = Wire(admin).delete(vm)
    assert (answer.status, answer.root.tag if answer.root is not None else None) == (409, "fault")
    assert "because it is Up" in answer.detail
    assert not Operation.objects.exists()


def test_a_dry_run_removes_nothing(admin: User, down: VirtualMachine) -> None:
    answer = Wire(admin).delete(down, "?dry_run=true")
    assert answer.texts("plan/steps/step/kind") == ["undefine", "keep_disks"]
    assert not Operation.objects.exists()


def test_who_may_not_remove_it_is_told_so(operator: User, down: VirtualMachine) -> None:
    for query in ("", "?dry_run=true"):
        assert Wire(operator).delete(down, query).status == 403
    assert not Operation.objects.exists()


def test_one_that_is_protected_is_left_alone(admin: User, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN, delete_protected=True)
    answer = Wire(admin).delete(vm)
    assert (answer.status, answer.detail) == (409, f"[Cannot remove {vm.name}: its delete protection is on.]")
    assert not Operation.objects.exists()

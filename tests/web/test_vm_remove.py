"""`vm_action` for Remove: which disks go is chosen, and none goes in passing."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from tests.support.forms import fill
from tests.support.scene import LogIn, MakeVm
from vms.domain.disks import Disk, Kept
from vms.domain.operation import Outcome, Stage
from vms.domain.power import Action, VmStatus
from vms.models import Operation, VirtualMachine

REMOVE = reverse("vm_action", args=[Action.REMOVE])
PLAN = reverse("vm_action_plan", args=[Action.REMOVE])
DISKS = [
    Disk("vda", "/images/system.qcow2"),
    Disk("vdb", "/images/data.qcow2"),
    Disk("hda", "/iso/debian.iso", Kept.MEDIUM),
    Disk("hdb", "", Kept.EMPTY),
]


@pytest.fixture
def down(make_vm: MakeVm) -> VirtualMachine:
    """A VM that is down, with disks."""
    return make_vm("legacy", VmStatus.DOWN, disks=[disk.as_json() for disk in DISKS])


def test_the_dialog_lists_the_disks_with_none_ticked_and_says_that_they_are_kept(
    log_in: LogIn, admin: User, down: VirtualMachine
) -> None:
    html = log_in(admin, htmx=True).get(REMOVE, {"vm": str(down.pk)}).content.decode()
    for told in (
        "Remove legacy?",
        "Remove the VM from its host, with its firmware variables, saved memory and snapshot records",
        "Its disks are kept",
        "vda: /images/system.qcow2",
        "vdb: /images/data.qcow2",
        "Kept in any case",
        "hda: /iso/debian.iso",
        "a medium that other VMs may use",
        "pf-m-danger",
    ):
        assert told in html
    assert html.count('name="disks"') == 2
    assert "checked" not in html
    assert "hdb" not in html


def test_what_is_ticked_goes_and_the_plan_says_so(log_in: LogIn, admin: User, down: VirtualMachine) -> None:
    client = log_in(admin, htmx=True)
    sent = {"vm": str(down.pk), "disks": ["/images/data.qcow2"]}
    assert "Remove the chosen disks; what is on them is lost" in client.get(PLAN, sent).content.decode()
    response = client.post(REMOVE, sent | {"reason": "replaced"})
    assert response.status_code == 200
    operation = Operation.objects.get()
    assert (operation.action, operation.disks, operation.reason) == (
        Action.REMOVE,
        ["/images/data.qcow2"],
        "replaced",
    )
    assert "Removing" in response.content.decode()


def test_without_a_tick_no_disk_goes(log_in: LogIn, admin: User, down: VirtualMachine) -> None:
    log_in(admin).post(REMOVE, {"vm": str(down.pk)})
    assert Operation.objects.get().disks == []


@pytest.mark.parametrize("disk", ["/iso/debian.iso", "/etc/passwd"])
def test_a_disk_that_may_not_go_is_refused_and_nothing_happens(
    log_in: LogIn, admin: User, down: VirtualMachine, disk: str
) -> None:
    response = log_in(admin, htmx=True).post(REMOVE, {"vm": str(down.pk), "disks": [disk]})
    assert response.status_code == 422
    assert f"{disk} is no disk of this VM that can be removed." in response.content.decode()
    assert not Operation.objects.exists()


def test_several_keep_all_of_their_disks_and_want_their_number_typed(
    log_in: LogIn, admin: User, make_vm: MakeVm, down: VirtualMachine
) -> None:
    other = make_vm("other", VmStatus.DOWN, disks=[DISKS[0].as_json()])
    client = log_in(admin, htmx=True)
    sent: dict[str, Any] = {"vm": [str(down.pk), str(other.pk)]}
    html = client.get(REMOVE, sent).content.decode()
    assert 'name="disks"' not in html
    assert "keep its disks" in html
    assert client.post(REMOVE, sent | {"disks": ["/images/data.qcow2"]}).status_code == 422
    assert client.post(REMOVE, sent | {"count": "2", "disks": ["/images/data.qcow2"]}).status_code == 200
    assert list(Operation.objects.values_list("disks", flat=True)) == [[], []]


def test_one_that_is_gone_is_taken_off_the_list(log_in: LogIn, admin: User, make_vm: MakeVm) -> None:
    vm = make_vm("old", VmStatus.GONE, disks=[DISKS[0].as_json()])
    client = log_in(admin)
    html = client.get(REMOVE, {"vm": str(vm.pk)}).content.decode()
    assert "Take it off the portal&#x27;s list" in html
    assert 'name="disks"' not in html
    assert "old" in client.get(reverse("vm_list")).content.decode()
    client.post(REMOVE, {"vm": str(vm.pk)})
    operation = Operation.objects.get()
    assert (operation.stage, operation.outcome) == (Stage.ENDED, Outcome.DONE)
    assert f'id="vm_row_{vm.pk}"' not in client.get(reverse("vm_list")).content.decode()
    assert "old" in client.get(reverse("operation_list")).content.decode(), "its history is kept under its name"
    assert client.get(REMOVE, {"vm": str(vm.pk)}).status_code == 400


def test_one_that_runs_is_refused_with_the_reason(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    client = log_in(admin, htmx=True)
    assert "Cannot remove web01 because it is Up." in client.get(REMOVE, {"vm": str(vm.pk)}).content.decode()
    assert client.post(REMOVE, {"vm": str(vm.pk)}).status_code == 409
    assert not Operation.objects.exists()


def test_only_administrators_remove(log_in: LogIn, operator: User, viewer: User, down: VirtualMachine) -> None:
    for user in (operator, viewer):
        client = log_in(user)
        assert client.get(REMOVE, {"vm": str(down.pk)}).status_code == 403
        assert client.post(REMOVE, {"vm": str(down.pk)}).status_code == 403
        menu = client.get(reverse("vm_menu", args=[down.pk])).content.decode()
        assert 'id="vm_menu_remove"' not in menu
    assert not Operation.objects.exists()


def test_remove_stands_last_and_apart_in_the_menu(log_in: LogIn, admin: User, down: VirtualMachine) -> None:
    menu = log_in(admin).get(reverse("vm_menu", args=[down.pk])).content.decode()
    last = menu.rindex('role="separator"')
    assert 'id="vm_menu_remove"' in menu[last:]
    assert menu[last:].count('role="menuitem"') == 1
    assert "portal-menu__danger" in menu[last:]


def test_one_that_is_protected_is_left_alone_and_the_dialog_says_so(
    log_in: LogIn, admin: User, down: VirtualMachine
) -> None:
    client = log_in(admin, htmx=True)
    edit = reverse("vm_edit", args=[down.pk])
    assert client.post(edit, fill(client.get(edit), delete_protected=True)).status_code == 200
    assert (
        "Cannot remove legacy: its delete protection is on."
        in client.get(REMOVE, {"vm": str(down.pk)}).content.decode()
    )
    assert client.post(REMOVE, {"vm": str(down.pk)}).status_code == 409
    assert not Operation.objects.exists()
    client.post(edit, fill(client.get(edit), delete_protected=False))
    assert client.post(REMOVE, {"vm": str(down.pk)}).status_code == 200

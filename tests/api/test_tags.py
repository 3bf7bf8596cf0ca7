"""Tags over the API, and those that VMs bear."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.api.asking import NOBODYS, asked, delete, get, names, post
from tests.api.conftest import as_person
from tests.support.scene import MakeVm, the_role
from vms.models import Assignment, Event, Tag, VirtualMachine

pytestmark = pytest.mark.django_db


def test_one_is_made_put_on_a_vm_taken_off_and_removed(admin: User, vm: VirtualMachine) -> None:
    client = as_person(admin)
    made = post(client, "/tags", "<tag><name>web</name></tag>")
    path = f"/tags/{made.get('id')}"
    assert get(client, path).findtext("name") == "web"
    put = post(client, f"/vms/{vm.pk}/tags", "<tag><name>Web</name></tag>")
    assert put.items() == made.items()
    assert names(get(client, f"/vms/{vm.pk}/tags")) == ["web"]
    get(client, f"/vms/{vm.pk}{path}")
    delete(client, f"/vms/{vm.pk}{path}")
    get(client, f"/vms/{vm.pk}{path}", status=404)
    assert len(get(client, f"/vms/{vm.pk}/tags")) == 0
    post(client, f"/vms/{vm.pk}/tags", f'<tag id="{made.get("id")}"/>')
    delete(client, path)
    get(client, path, status=404)
    assert list(vm.tags.all()) == []
    told = list(Event.objects.order_by("id").values_list("message", flat=True))
    assert told[-1] == "Tag web was removed by ada, and from 1 virtual machines."
    assert "Tag web was added by ada." in told


def test_what_a_vm_bears_already_stays(admin: User, vm: VirtualMachine) -> None:
    client = as_person(admin)
    vm.tags.set([Tag.objects.create(name="old"), Tag.objects.create(name="web")])
    post(client, f"/vms/{vm.pk}/tags", "<tag><name>web</name></tag>")
    Tag.objects.create(name="new")
    post(client, f"/vms/{vm.pk}/tags", "<tag><name>new</name></tag>")
    assert names(get(client, f"/vms/{vm.pk}/tags")) == ["new", "old", "web"]


def test_one_that_is_not_known_is_not_put_on(admin: User, vm: VirtualMachine) -> None:
    client = as_person(admin)
    for meant in ("<tag><name>nobody's</name></tag>", f'<tag id="{NOBODYS}"/>', '<tag id="x"/>'):
        assert post(client, f"/vms/{vm.pk}/tags", meant, status=404).tag == "fault"
    post(client, f"/vms/{vm.pk}/tags", "<tag/>", status=400)
    assert not Tag.objects.exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("<tag/>", 400),
        ("<tag><name> </name></tag>", 400),
        ("<tag><name>a,b</name></tag>", 400),
        (f"<tag><name>{'x' * 51}</name></tag>", 400),
        ("<tag><name>WEB</name></tag>", 409),
    ],
)
def test_what_cannot_be_a_tag_is_not_made(admin: User, body: str, status: int) -> None:
    Tag.objects.create(name="web")
    post(as_person(admin), "/tags", body, status=status)
    assert Tag.objects.count() == 1


def test_who_may_not_edit_is_refused(operator: User, vm: VirtualMachine) -> None:
    client, tag = as_person(operator), Tag.objects.create(name="web")
    path = f"/tags/{get(client, '/tags')[0].get('id')}"
    post(client, "/tags", "<tag><name>new</name></tag>", status=403)
    delete(client, path, status=403)
    post(client, f"/vms/{vm.pk}/tags", "<tag><name>web</name></tag>", status=403)
    vm.tags.add(tag)
    delete(client, f"/vms/{vm.pk}{path}", status=403)
    assert list(vm.tags.all()) == list(Tag.objects.all()) == [tag]


def test_who_may_not_give_roles_gives_none_by_a_tag(outsider: User, vm: VirtualMachine) -> None:
    Assignment.objects.create(user=outsider, role=the_role("Manager"), vm=vm)
    Assignment.objects.create(user=outsider, role=the_role("Operator"), tag=Tag.objects.create(name="web"))
    client = as_person(outsider)
    fault = post(client, f"/vms/{vm.pk}/tags", "<tag><name>web</name></tag>", status=403)
    assert "permission to give roles" in str(fault.findtext("detail"))
    assert not vm.tags.exists()


def test_who_may_not_take_roles_back_takes_none_with_a_tag(admin: User, outsider: User) -> None:
    tag = Tag.objects.create(name="web")
    Assignment.objects.create(user=outsider, role=the_role("Operator"), tag=tag)
    client = as_person(admin)
    path = f"/tags/{get(client, '/tags')[0].get('id')}"
    group = admin.groups.get()
    taking = group.permissions.get(codename="delete_assignment")
    group.permissions.remove(taking)
    delete(client, path, status=403)
    assert Tag.objects.filter(pk=tag.pk).exists()
    group.permissions.add(taking)
    delete(client, path)
    assert not Assignment.objects.exists()


def test_who_sees_no_vm_sees_no_tag(outsider: User, operator: User, vm: VirtualMachine) -> None:
    vm.tags.add(Tag.objects.create(name="web"))
    path = f"/tags/{get(as_person(operator), '/tags')[0].get('id')}"
    client = as_person(outsider)
    assert len(get(client, "/tags")) == 0
    get(client, path, status=404)
    get(client, f"/vms/{vm.pk}/tags", status=404)
    post(client, f"/vms/{vm.pk}/tags", "<tag><name>web</name></tag>", status=404)


def test_the_lists_ask_the_same_for_three_and_for_thirty(operator: User, vm: VirtualMachine, make_vm: MakeVm) -> None:
    client, addresses = as_person(operator), ("/tags", f"/vms/{vm.pk}/tags")

    def add(*numbers: int) -> None:
        for number in numbers:
            vm.tags.add(Tag.objects.create(name=f"tag{number}"))

    add(1, 2, 3)
    three = [asked(client, address) for address in addresses]
    add(*range(4, 31))
    assert [len(get(client, address)) for address in addresses] == [30, 30]
    assert [asked(client, address) for address in addresses] == three

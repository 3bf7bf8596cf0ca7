"""Who has which role where, over the API."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from tests.api.asking import asked, delete, get, post, reference
from tests.api.conftest import as_person
from tests.support.scene import MakeVm, the_role
from vms.models import Assignment, Event, Role, Tag, VirtualMachine

pytestmark = pytest.mark.django_db


@pytest.fixture
def everywhere(vm: VirtualMachine, outsider: User) -> dict[str, Assignment]:
    """One role at each kind of place, all of which hold on `vm`."""
    tag = Tag.objects.create(name="web")
    vm.tags.add(tag)
    group, role = Group.objects.get(name="Viewer"), the_role("Viewer")
    return {
        "vm": Assignment.objects.create(user=outsider, role=role, vm=vm),
        "tag": Assignment.objects.create(group=group, role=role, tag=tag),
        "host": Assignment.objects.create(group=group, role=role, host=vm.host),
        "portal": Assignment.objects.create(group=group, role=role),
    }


def ids(client: Client, path: str) -> set[str | None]:
    return {permission.get("id") for permission in get(client, path)}


def test_all_that_hold_on_a_vm_and_where_they_lead(
    admin: User, everywhere: dict[str, Assignment], vm: VirtualMachine, make_vm: MakeVm
) -> None:
    Assignment.objects.create(user=admin, role=the_role("Viewer"), vm=make_vm("other"))
    client = as_person(admin)
    here = get(client, f"/vms/{vm.pk}/permissions")
    assert len(here) == len(everywhere) == Assignment.objects.count() - 1
    assert len(ids(client, "/permissions")) == len(everywhere) + 1
    places = []
    for permission in here:
        path = f"/permissions/{permission.get('id')}"
        for one in (get(client, path), get(client, f"/vms/{vm.pk}{path}")):
            assert get(client, reference(one, "role")).findtext("name") == "Viewer"
            to = get(client, reference(one, "user" if one.find("user") is not None else "group"))
            assert to.findtext("name") in ("otto", "Viewer")
        for place in ("vm", "tag", "host"):
            if permission.find(place) is not None:
                get(client, reference(permission, place))
                places.append(place)
    assert sorted(places) == ["host", "tag", "vm"]


def test_others_are_seen_by_who_may_see_them_there(
    everywhere: dict[str, Assignment], outsider: User, vm: VirtualMachine, make_vm: MakeVm
) -> None:
    client = as_person(outsider)
    assert len(ids(client, f"/vms/{vm.pk}/permissions")) == 1
    # What they see elsewhere does not count here.
    seeing = Role.objects.create(name="Seeing")
    seeing.verbs.set(Permission.objects.filter(codename__in=["view_vm", "view_assignment"]))
    Assignment.objects.create(user=outsider, role=seeing, vm=make_vm("other"))
    assert len(ids(client, f"/vms/{vm.pk}/permissions")) == 1
    assert len(ids(client, "/permissions")) == 2
    Assignment.objects.create(user=outsider, role=seeing, vm=vm)
    assert len(ids(client, f"/vms/{vm.pk}/permissions")) == 5


def test_ones_own_through_a_group(viewer: User, everywhere: dict[str, Assignment]) -> None:
    client = as_person(viewer)
    assert len(ids(client, "/permissions")) == 3


def test_those_of_one_person(admin: User, everywhere: dict[str, Assignment], outsider: User) -> None:
    client = as_person(admin)
    people = {person.findtext("principal"): person.get("id") for person in get(client, "/users")}
    listed = get(client, f"/users/{people['otto']}/permissions")
    assert [reference(permission, "user") for permission in listed] == [f"/users/{people['otto']}"]
    assert len(get(client, f"/users/{people['ada']}/permissions")) == 0
    get(as_person(outsider), f"/users/{people['ada']}/permissions", status=404)


def test_a_role_is_given_and_taken_back(admin: User, outsider: User, vm: VirtualMachine) -> None:
    client = as_person(admin)
    roles = {role.findtext("name"): role.get("id") for role in get(client, "/roles")}
    people = {person.findtext("principal"): person.get("id") for person in get(client, "/users")}
    for user in (f'<user id="{people["otto"]}"/>', "<user><name>otto@internal</name></user>"):
        body = f'<permission><role id="{roles["Operator"]}"/>{user}</permission>'
        given = post(client, f"/vms/{vm.pk}/permissions", body)
    assert (Assignment.objects.get().user, Assignment.objects.get().vm) == (outsider, vm)
    get(as_person(outsider), f"/vms/{vm.pk}")
    delete(client, f"/vms/{vm.pk}/permissions/{given.get('id')}")
    get(as_person(outsider), f"/vms/{vm.pk}", status=404)
    told = Event.objects.filter(vm=vm).order_by("id").values_list("message", flat=True)
    assert list(told) == [
        "Role Operator on web01 was given to person otto by ada.",
        "Role Operator on web01 was taken from person otto by ada.",
    ]


def test_a_group_is_given_one_by_its_name(admin: User, vm: VirtualMachine) -> None:
    body = "<permission><role><name>Operator</name></role><group><name>Viewer</name></group></permission>"
    post(as_person(admin), f"/vms/{vm.pk}/permissions", body)
    assert str(Assignment.objects.get().group) == "Viewer"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("<permission/>", 400),
        ("<permission><role><name>Operator</name></role></permission>", 400),
        ("<permission><role><name>None</name></role><user><name>otto</name></user></permission>", 404),
        ("<permission><role><name>Operator</name></role><user><name>none</name></user></permission>", 404),
    ],
)
def test_what_is_not_said_or_not_there(admin: User, outsider: User, vm: VirtualMachine, body: str, status: int) -> None:
    post(as_person(admin), f"/vms/{vm.pk}/permissions", body, status=status)
    assert not Assignment.objects.exists()


@pytest.mark.parametrize("name", ["otto", "none"])
def test_who_may_not_give_roles_learns_nothing_of_who_there_is(
    operator: User, outsider: User, vm: VirtualMachine, name: str
) -> None:
    body = f"<permission><role><name>Operator</name></role><user><name>{name}</name></user></permission>"
    post(as_person(operator), f"/vms/{vm.pk}/permissions", body, status=403)
    assert not Assignment.objects.exists()


def test_one_that_was_given_elsewhere_is_not_taken_here(
    admin: User, vm: VirtualMachine, everywhere: dict[str, Assignment]
) -> None:
    client = as_person(admin)
    for permission in get(client, f"/vms/{vm.pk}/permissions"):
        status = 200 if permission.find("vm") is not None else 409
        delete(client, f"/vms/{vm.pk}/permissions/{permission.get('id')}", status=status)
    assert Assignment.objects.count() == 3


def test_the_lists_ask_the_same_for_three_and_for_thirty(admin: User, vm: VirtualMachine) -> None:
    client, addresses = as_person(admin), ("/permissions", f"/vms/{vm.pk}/permissions")

    def add(*numbers: int) -> None:
        for number in numbers:
            person = User.objects.create(username=f"more{number}")
            Assignment.objects.create(user=person, role=the_role("Viewer"), vm=vm)

    add(1, 2, 3)
    three = [asked(client, address) for address in addresses]
    add(*range(4, 31))
    assert [len(get(client, address)) for address in addresses] == [30, 30]
    assert [asked(client, address) for address in addresses] == three

"""People, groups and roles over the API."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User

from tests.api.asking import NOBODYS, asked, get, names, reference, superuser
from tests.api.conftest import as_person
from tests.support.scene import MakeVm, the_role
from vms.models import Assignment, Role, VirtualMachine

pytestmark = pytest.mark.django_db


def test_who_asks_is_found_by_what_clients_look_for(operator: User) -> None:
    client = as_person(operator)
    shown = get(client, reference(get(client, ""), "authenticated_user"))
    found = {name: shown.findtext(name) for name in ("name", "user_name", "principal", "domain/name", "namespace")}
    assert found == {
        "name": "oskar",
        "user_name": "oskar@internal",
        "principal": "oskar",
        "domain/name": "internal",
        "namespace": "*",
    }


def test_others_are_seen_by_who_may_see_them(operator: User, admin: User, outsider: User) -> None:
    # Administrators may give roles.
    listed = get(as_person(admin), "/users")
    assert names(listed, "principal") == ["ada", "oskar", "otto"]
    client = as_person(operator)
    assert names(get(client, "/users"), "principal") == ["oskar"]
    for person in listed:
        get(client, f"/users/{person.get('id')}", status=200 if person.findtext("principal") == "oskar" else 404)
    outsider.user_permissions.add(Permission.objects.get(codename="view_user"))
    assert names(get(as_person(outsider), "/users"), "principal") == ["ada", "oskar", "otto"]


def test_groups_are_ones_own_or_all(operator: User, admin: User, outsider: User) -> None:
    assert names(get(as_person(admin), "/groups")) == ["Administrator", "Operator", "Viewer"]
    client = as_person(operator)
    mine = get(client, "/groups")
    assert names(mine) == ["Operator"]
    get(client, f"/groups/{mine[0].get('id')}")
    get(as_person(outsider), f"/groups/{mine[0].get('id')}", status=404)


def test_roles_are_ones_own_or_all(admin: User, outsider: User, vm: VirtualMachine) -> None:
    every = {role.findtext("name"): role.get("id") for role in get(as_person(admin), "/roles")}
    assert list(every) == ["Manager", "Operator", "Viewer"]
    client = as_person(outsider)
    assert len(get(client, "/roles")) == 0
    Assignment.objects.create(user=outsider, role=the_role("Operator"), vm=vm)
    assert names(get(client, "/roles")) == ["Operator"]
    assert get(client, f"/roles/{every['Operator']}").findtext("description")
    get(client, f"/roles/{every['Viewer']}", status=404)


def test_the_lists_ask_the_same_for_three_and_for_thirty(make_vm: MakeVm) -> None:
    client, addresses = as_person(superuser()), ("/users", "/groups", "/roles")
    there = [len(get(client, address)) for address in addresses]

    def add(*numbers: int) -> None:
        for number in numbers:
            User.objects.create(username=f"more{number}")
            Group.objects.create(name=f"more{number}")
            Role.objects.create(name=f"more{number}")

    add(1, 2, 3)
    three = [asked(client, address) for address in addresses]
    add(*range(4, 31))
    assert [len(get(client, address)) for address in addresses] == [count + 30 for count in there]
    assert [asked(client, address) for address in addresses] == three


@pytest.mark.parametrize("collection", ["users", "groups", "roles"])
@pytest.mark.parametrize("wrong", [NOBODYS, "1", "x"])
def test_what_is_nobody_is_not_found(admin: User, collection: str, wrong: str) -> None:
    get(as_person(admin), f"/{collection}/{wrong}", status=404)

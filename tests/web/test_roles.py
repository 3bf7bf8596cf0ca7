"""Roles on hosts, tags and single VMs: what they open, and that everything else is not there."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.support.scene import LogIn, MakeVm, the_role
from vms import actions, permissions, queries
from vms.domain.power import Action
from vms.domain.tags import TagError
from vms.models import Assignment, Event, Host, Operation, Role, Tag, VirtualMachine
from vms.roles import access_of

Give = Callable[..., Assignment]
VERBS = {
    "Viewer": set(),
    "Operator": {Action.RUN, Action.SHUT_DOWN, Action.POWER_OFF, Action.REBOOT, Action.POWER_CYCLE, Action.SUSPEND},
}
VERBS["Manager"] = VERBS["Operator"] | {Action.REMOVE}
PLACES = ("portal", "host", "tag", "vm")


@pytest.fixture
def person(db: None) -> User:
    """Somebody to whom nothing was given yet."""
    return User.objects.create_user("pia", password="a password")


@pytest.fixture
def mine(make_vm: MakeVm) -> VirtualMachine:
    """The VM that roles are given on."""
    vm = make_vm("mine")
    vm.tags.add(Tag.objects.create(name="web"))
    return vm


@pytest.fixture
def hidden(make_vm: MakeVm) -> VirtualMachine:
    """A VM elsewhere: on another host, without a tag."""
    other = Host.objects.create(name="kvm2", uri="qemu+ssh://kvm2/system")
    return make_vm("secret01", host=other)


@pytest.fixture
def give(person: User, mine: VirtualMachine) -> Give:
    """Give a role at a place."""

    def give(role: str, place: str, *, by_group: bool = False) -> Assignment:
        group = Group.objects.create(name="friends") if by_group else None
        if group is not None:
            person.groups.add(group)
        where: dict[str, Any] = {
            "portal": {},
            "host": {"host": mine.host},
            "tag": {"tag": mine.tags.get(name="web")},
            "vm": {"vm": mine},
        }
        return Assignment.objects.create(
            role=the_role(role), user=None if group else person, group=group, **where[place]
        )

    return give


def fresh(person: User) -> User:
    """Return a person as the next request reads them."""
    return User.objects.get(pk=person.pk)


@pytest.mark.parametrize(("role", "place", "by_group"), list(itertools.product(VERBS, PLACES, [False, True])))
def test_every_verb_of_every_role_holds_where_it_was_given_and_nowhere_else(
    give: Give, person: User, mine: VirtualMachine, hidden: VirtualMachine, role: str, place: str, by_group: bool
) -> None:
    give(role, place, by_group=by_group)
    somebody = fresh(person)
    everywhere = place == "portal"
    for action in Action:
        may = action in VERBS[role] or (action in (Action.RUN_ONCE, Action.RESUME) and Action.RUN in VERBS[role])
        assert permissions.may(somebody, action, mine) is may, action
        assert permissions.may(somebody, action, hidden) is (may and everywhere), action
        assert permissions.may_ask(somebody, action) is may, action
        verb = permissions.ACTION_PERMISSION[action]
        assert somebody.has_perm(verb, mine) is may, action
        assert somebody.has_perm(verb) is (may and everywhere), action
    assert permissions.may_change(somebody, mine) is (role == "Manager")
    assert permissions.may_change(somebody, hidden) is (role == "Manager" and everywhere)
    assert permissions.may_view(somebody, mine)
    assert permissions.may_view(somebody, hidden) is everywhere
    seen = set(queries.shown_vms(somebody))
    assert seen == ({mine, hidden} if everywhere else {mine})


def test_roles_add_up_and_take_nothing_away(give: Give, person: User, mine: VirtualMachine) -> None:
    person.user_permissions.add(Permission.objects.get(codename="view_vm"))
    give("Operator", "tag")
    somebody = fresh(person)
    assert permissions.may(somebody, Action.REBOOT, mine)
    assert access_of(somebody).where(permissions.VIEW) == Q()


def test_a_vm_with_two_tags_of_a_role_is_listed_once(give: Give, person: User, mine: VirtualMachine) -> None:
    second = Tag.objects.create(name="db")
    mine.tags.add(second)
    give("Viewer", "tag")
    Assignment.objects.create(role=the_role("Viewer"), user=person, tag=second)
    assert list(queries.shown_vms(fresh(person))) == [mine]


@pytest.mark.parametrize("gone", ["role taken back", "tag taken off", "group left", "person switched off"])
def test_what_was_given_is_gone_with_what_it_rested_on(
    give: Give, person: User, mine: VirtualMachine, gone: str
) -> None:
    assignment = give("Operator", "tag", by_group=True)
    assert permissions.may(fresh(person), Action.REBOOT, mine)
    match gone:
        case "role taken back":
            assignment.delete()
        case "tag taken off":
            mine.tags.clear()
        case "group left":
            person.groups.clear()
        case "person switched off":
            User.objects.filter(pk=person.pk).update(is_active=False)
    assert not permissions.may(fresh(person), Action.REBOOT, mine)
    assert not permissions.may_view(fresh(person), mine)


@pytest.fixture
def client(give: Give, person: User, log_in: LogIn) -> Client:
    """An operator's of one VM alone."""
    give("Operator", "vm")
    return log_in(person)


def test_the_list_shows_what_may_be_seen_and_counts_no_more(
    client: Client, mine: VirtualMachine, hidden: VirtualMachine
) -> None:
    text = client.get(reverse("vm_list")).content.decode()
    assert "mine" in text
    assert "secret01" not in text
    assert "secret01" not in client.get(reverse("vm_list"), {"filter": "name=hidden"}).content.decode().replace(
        'value="name=hidden"', ""
    )


@pytest.mark.parametrize("name", ["vm_menu", "vm_pending", "vm_pending_changes"])
def test_a_hidden_vm_has_no_page(client: Client, mine: VirtualMachine, hidden: VirtualMachine, name: str) -> None:
    assert client.get(reverse(name, args=[mine.pk])).status_code == 200
    assert client.get(reverse(name, args=[hidden.pk])).status_code == 404


def test_a_bulk_with_a_hidden_vm_in_it_does_nothing(
    client: Client, mine: VirtualMachine, hidden: VirtualMachine
) -> None:
    url = reverse("vm_action", args=[Action.REBOOT])
    assert client.post(url, {"vm": [str(mine.pk), str(hidden.pk)]}).status_code == 400
    assert not Operation.objects.exists()
    assert client.post(url, {"vm": [mine.pk]}).status_code == 302
    assert Operation.objects.get().vm == mine


def test_operations_and_events_of_hidden_vms_are_hidden(
    client: Client, admin: User, mine: VirtualMachine, hidden: VirtualMachine
) -> None:
    shown, other = (actions.reboot(admin, vm) for vm in (mine, hidden))
    for name, kept in (("operation_list", "mine"), ("event_list", "mine")):
        text = client.get(reverse(name)).content.decode()
        assert kept in text
        assert "secret01" not in text
    assert client.get(shown.get_absolute_url()).status_code == 200
    assert client.get(other.get_absolute_url()).status_code == 404
    assert client.post(reverse("operation_cancel", args=[other.pk])).status_code == 404
    csv = client.get(reverse("event_csv")).content.decode()
    assert "mine" in csv
    assert "secret01" not in csv
    assert Event.objects.filter(vm=hidden).exists()


def test_the_toolbar_says_on_which_vm_something_may_not_be_done(
    give: Give, person: User, mine: VirtualMachine, hidden: VirtualMachine, log_in: LogIn
) -> None:
    give("Operator", "vm")
    Assignment.objects.create(role=the_role("Viewer"), user=person, vm=hidden)
    text = log_in(person).get(reverse("vm_toolbar"), {"vm": [str(mine.pk), str(hidden.pk)]}).content.decode()
    assert "You do not have the permission for this on secret01." in text
    with pytest.raises(PermissionDenied):
        actions.reboot(fresh(person), hidden)


def test_django_admin_lists_what_may_be_seen(
    give: Give, person: User, mine: VirtualMachine, hidden: VirtualMachine, log_in: LogIn
) -> None:
    give("Manager", "host")
    User.objects.filter(pk=person.pk).update(is_staff=True)
    client = log_in(fresh(person))
    text = client.get(reverse("admin:vms_virtualmachine_changelist")).content.decode()
    assert "mine" in text
    assert "secret01" not in text
    assert client.get(reverse("admin:vms_virtualmachine_change", args=[mine.pk])).status_code == 200
    assert client.get(reverse("admin:vms_virtualmachine_change", args=[hidden.pk])).status_code == 302


def test_the_list_costs_as_many_queries_for_fifty_vms_as_for_two(
    give: Give, person: User, make_vm: MakeVm, mine: VirtualMachine, log_in: LogIn
) -> None:
    give("Operator", "tag")
    client = log_in(person)

    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert client.get(reverse("vm_list")).status_code == 200
        return len(asked)

    two = count()
    for number in range(48):
        make_vm(f"vm-{number}").tags.add(mine.tags.get(name="web"))
    assert count() == two


def test_tags_that_roles_were_given_on_are_put_on_by_who_may_give_roles(
    give: Give, person: User, admin: User, make_vm: MakeVm, mine: VirtualMachine, log_in: LogIn
) -> None:
    give("Operator", "tag")
    plain = make_vm("plain")
    Assignment.objects.create(role=the_role("Manager"), user=person, vm=plain)
    somebody = fresh(person)
    # Else they could help themselves to the power over any VM that they may edit.
    with pytest.raises(TagError, match="gives_roles"):
        actions.set_tags(somebody, plain, ["Web"])
    answer = log_in(person).post(reverse("vm_edit", args=[plain.pk]), {"tags": "web", "initial-tags": ""})
    assert answer.status_code == 422
    assert "permission to give roles" in answer.content.decode()
    assert not plain.tags.exists()
    actions.set_tags(somebody, plain, ["nobody's"])
    actions.set_tags(admin, plain, ["web"])
    assert permissions.may(fresh(person), Action.REBOOT, plain)
    # Nor may they take it off: that takes the role from others.
    with pytest.raises(TagError):
        actions.set_tags(fresh(person), plain, [])


def test_administrators_give_roles_in_django_admin_with_an_event_and_no_more_than_they_have(
    admin: User, mine: VirtualMachine, log_in: LogIn
) -> None:
    User.objects.filter(pk=admin.pk).update(is_staff=True)
    client = log_in(fresh(admin))
    add = reverse("admin:vms_assignment_add")
    stronger = Role.objects.create(name="Stronger")
    stronger.verbs.set(Permission.objects.filter(codename__in=["view_vm", "delete_secondfactor"]))
    admin.groups.get().permissions.remove(Permission.objects.get(codename="delete_secondfactor"))
    asked = {"group": str(admin.groups.get().pk), "host": str(mine.host_id)}
    refused = client.post(add, asked | {"role": str(stronger.pk)})
    assert "Nobody can give what they do not have." in refused.content.decode()
    assert client.post(add, asked | {"role": str(the_role("Operator").pk)}).status_code == 302
    given = Assignment.objects.get()
    taken = client.post(reverse("admin:vms_assignment_delete", args=[given.pk]), {"post": "yes"})
    assert taken.status_code == 302
    assert not Assignment.objects.exists()
    assert list(Event.objects.filter(actor=admin).order_by("id").values_list("message", flat=True)) == [
        "Role Operator on kvm1 was given to group Administrator by ada.",
        "Role Operator on kvm1 was taken from group Administrator by ada.",
    ]

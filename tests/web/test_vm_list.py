"""`vm_list` and what it is made of: `vm_board`, `vm_toolbar`, `vm_menu`."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn, MakeOperation, MakeVm, pending
from vms.domain.operation import Outcome
from vms.domain.power import Action, VmStatus
from vms.models import ConfigurationChange, Host, Tag, VirtualMachine

LIST, BOARD, TOOLBAR = reverse("vm_list"), reverse("vm_board"), reverse("vm_toolbar")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def names(response: Any) -> list[str]:
    """Return the names of the rows shown, top to bottom."""
    return [row.vm.name for row in response.context["board"].rows]


def test_the_list_shows_every_column(log_in: LogIn, viewer: User, vm: VirtualMachine) -> None:
    html = log_in(viewer).get(LIST).content.decode()
    for told in ("web01", "Up", "kvm1", "Guest agent connected", "4 GiB", "12 d"):
        assert told in html


def test_the_content_security_policy_is_strict(log_in: LogIn, viewer: User, vm: VirtualMachine) -> None:
    response = log_in(viewer).get(LIST)
    sent = response.headers["Content-Security-Policy"]
    assert sorted(part.strip() for part in sent.split(";") if part.strip()) == sorted(POLICY.split("; "))
    assert "unsafe" not in sent
    html = response.content.decode()
    assert not re.search(r"<[^>]+\sstyle=", html)
    assert not re.search(r"<[^>]+\son[a-z]+=", html)
    assert not re.search(r"<script(?![^>]*\ssrc=)", html)


def test_nobody_is_sent_to_the_login_page(client: Client, db: None) -> None:
    for url in (LIST, BOARD, TOOLBAR, reverse("vm_menu", args=[uuid.uuid4()])):
        response = client.get(url)
        assert response.status_code == 302
        assert response.headers["Location"].startswith(reverse("login"))


def test_an_outsider_sees_no_vm(log_in: LogIn, outsider: User, vm: VirtualMachine) -> None:
    client = log_in(outsider)
    for url in (LIST, BOARD, TOOLBAR, reverse("vm_menu", args=[vm.pk])):
        response = client.get(url)
        assert response.status_code == 403
        assert "web01" not in response.content.decode()


def test_only_reading_is_possible(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    client = log_in(admin)
    for url in (LIST, BOARD, TOOLBAR, reverse("vm_menu", args=[vm.pk])):
        assert client.post(url).status_code == 405


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["db01", "legacy", "web01", "web02"]),
        ({"filter": "web"}, ["web01", "web02"]),
        ({"filter": "WEB*"}, ["web01", "web02"]),
        ({"filter": "*0"}, []),
        ({"filter": "name=WEB*"}, ["web01", "web02"]),
        ({"filter": "name=web01"}, ["web01"]),
        ({"filter": "name=*01"}, ["db01", "web01"]),
        ({"filter": "name=w*1"}, ["web01"]),
        ({"filter": "name=w.b01"}, []),
        ({"filter": 'name="web01"'}, ["web01"]),
        ({"filter": "status=down"}, ["legacy"]),
        ({"filter": "status=up web"}, ["web01", "web02"]),
        ({"filter": "host=kvm1 status=Down"}, ["legacy"]),
        ({"filter": "host=other"}, []),
        ({"status": "down"}, ["legacy"]),
        ({"name": "db01"}, ["db01"]),
    ],
)
def test_the_filter_narrows_the_list(
    log_in: LogIn, viewer: User, make_vm: MakeVm, query: dict[str, str], found: list[str]
) -> None:
    for name in ("web01", "web02", "db01"):
        make_vm(name)
    make_vm("legacy", VmStatus.DOWN)
    response = log_in(viewer).get(LIST, query)
    if found:
        assert names(response) == found
    else:
        assert "No virtual machine matches the filter" in response.content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [("tag=prod", []), ("tag=prod*", ["db01", "web01"]), ("tag=PRODUCTION", ["web01"]), ("tag=* web", ["web01"])],
)
def test_a_vm_is_found_by_its_tags_and_once(
    log_in: LogIn, viewer: User, make_vm: MakeVm, query: str, found: list[str]
) -> None:
    production, products = Tag.objects.create(name="production"), Tag.objects.create(name="products")
    make_vm("web01").tags.add(production, products)
    make_vm("db01").tags.add(products)
    make_vm("web02")
    response = log_in(viewer).get(LIST, {"filter": query})
    assert (names(response) if found else []) == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("colour=red", "“colour=” is not a field. Use name=, status=, host=, tag= or pending=."),
        ("status=sideways", "“sideways” is not a status."),
        ("name=", "“name=” needs a value"),
        ('name="web', "A quotation mark is not closed."),
    ],
)
def test_a_filter_that_makes_no_sense_is_explained(
    log_in: LogIn, viewer: User, vm: VirtualMachine, text: str, sentence: str
) -> None:
    response = log_in(viewer).get(LIST, {"filter": text})
    assert response.status_code == 200
    html = response.content.decode()
    assert sentence in html
    assert 'aria-invalid="true"' in html
    assert "web01" not in html


def test_the_list_of_one_name_finds_it_whatever_it_is(log_in: LogIn, viewer: User, make_vm: MakeVm) -> None:
    make_vm("odd name")
    make_vm("odd")
    assert names(log_in(viewer).get(LIST, {"name": "odd name"})) == ["odd name"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", ["a", "b", "c"]),
        ("-name", ["c", "b", "a"]),
        ("cpu", ["b", "a", "c"]),
        ("-memory", ["c", "a", "b"]),
        ("status", ["b", "a", "c"]),
        ("up", ["a", "c", "b"]),
        ("nonsense", ["a", "b", "c"]),
    ],
)
def test_columns_sort(log_in: LogIn, viewer: User, make_vm: MakeVm, sort: str, order: list[str]) -> None:
    make_vm("a", vcpus=2, memory=2)
    make_vm("b", VmStatus.DOWN, vcpus=1, memory=1)
    make_vm("c", vcpus=3, memory=3)
    assert names(log_in(viewer).get(LIST, {"sort": sort})) == order


def test_a_page_holds_fifty_and_keeps_the_filter(log_in: LogIn, viewer: User, make_vm: MakeVm) -> None:
    for number in range(60):
        make_vm(f"vm{number:02}")
    client = log_in(viewer)
    first = client.get(LIST, {"filter": "vm"})
    assert len(names(first)) == 50
    assert "?filter=vm&amp;page=2" in first.content.decode()
    assert names(client.get(LIST, {"filter": "vm", "page": "2"})) == [f"vm{number}" for number in range(50, 60)]
    assert len(names(client.get(LIST, {"page": "nonsense"}))) == 50


def test_an_empty_portal_says_what_to_do(log_in: LogIn, viewer: User) -> None:
    client = log_in(viewer)
    assert "register_host" in client.get(LIST).content.decode()
    Host.objects.create(name="kvm1", uri="qemu:///system")
    assert "virsh define" in client.get(LIST).content.decode()


def test_a_running_operation_is_told_in_the_row_and_below(
    log_in: LogIn, operator: User, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    operation = make_operation(make_vm("db01", VmStatus.REBOOT_IN_PROGRESS))
    html = log_in(operator).get(BOARD).content.decode()
    assert "Waiting for the guest" in html
    assert "data-deadline=" in html
    assert operation.get_absolute_url() in html
    assert "1 operation running" in html
    assert "press the power button" in html
    assert "give up" in html
    assert "Force now" in html


def test_a_reboot_that_gave_up_is_told_until_the_next_operation(
    log_in: LogIn, viewer: User, vm: VirtualMachine, make_operation: MakeOperation
) -> None:
    client = log_in(viewer)
    gave_up = make_operation(vm, outcome=Outcome.GAVE_UP)
    html = client.get(BOARD).content.decode()
    assert "Reboot gave up" in html
    assert gave_up.get_absolute_url() in html
    make_operation(vm, outcome=Outcome.CLEAN_AGENT, created_at=gave_up.ended_at)
    assert "gave up" not in client.get(BOARD).content.decode()


def test_the_fragment_is_the_part_of_the_page_that_has_its_name(
    log_in: LogIn, operator: User, vm: VirtualMachine
) -> None:
    client = log_in(operator)
    page = client.get(LIST).content.decode()
    for url, root in ((BOARD, "vm_board"), (TOOLBAR, "vm_toolbar")):
        fragment = client.get(url).content.decode().strip()
        assert re.match(rf'<div [^>]*id="{root}"', fragment)
        assert f'id="{root}"' in page


def test_the_toolbar_stands_in_the_seeds_order(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    response = log_in(admin).get(TOOLBAR, {"vm": str(vm.pk)})
    keys = [control.key for group in response.context["toolbar"] for control in group]
    assert keys == ["run", "suspend", "shut_down", "power_off", "reboot", "console", "edit"]


def test_a_control_that_does_not_apply_says_why(log_in: LogIn, admin: User, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN)
    client = log_in(admin)
    nothing = client.get(TOOLBAR).content.decode()
    assert nothing.count('aria-disabled="true"') >= 7
    assert "Select a virtual machine first." in nothing
    html = client.get(TOOLBAR, {"vm": str(vm.pk)}).content.decode()
    assert "Cannot reboot web01 because it is Down." in html
    assert "The virtual machine is down: it has no screen." in html
    assert re.search(r'id="vm_toolbar_reboot"\s+aria-disabled="true" aria-describedby="vm_toolbar_reboot_why"', html)
    assert f'hx-post="{reverse("vm_action", args=[Action.RUN])}"' in html


def test_a_control_applies_when_one_of_the_selected_can(log_in: LogIn, admin: User, make_vm: MakeVm) -> None:
    ids = [str(make_vm("a").pk), str(make_vm("b", VmStatus.DOWN).pk)]
    response = log_in(admin).get(TOOLBAR, {"vm": ids})
    why = {control.key: control.why_not for group in response.context["toolbar"] for control in group}
    assert why["reboot"] == why["run"] == ""
    assert why["edit"] == "Select one virtual machine only."


def test_a_viewer_is_offered_no_action(log_in: LogIn, viewer: User, vm: VirtualMachine) -> None:
    client = log_in(viewer)
    for url in (f"{TOOLBAR}?vm={vm.pk}", reverse("vm_menu", args=[vm.pk])):
        html = client.get(url).content.decode()
        for word in ("Reboot", "Power", "Run", "Suspend", "Shut down", "Edit", "Console"):
            assert word not in html
        assert "Events" in html


def test_an_operator_is_offered_power_and_no_editing(log_in: LogIn, operator: User, vm: VirtualMachine) -> None:
    html = log_in(operator).get(reverse("vm_menu", args=[vm.pk])).content.decode()
    for word in ("Reboot", "Power cycle", "Power off"):
        assert word in html
    assert "Edit" not in html


def test_the_menu_of_a_vm_that_is_not_there_is_not_found(log_in: LogIn, viewer: User) -> None:
    assert log_in(viewer).get(reverse("vm_menu", args=[uuid.uuid4()])).status_code == 404


@pytest.mark.parametrize(("url", "queries"), [(LIST, 9), (BOARD, 9)])
def test_the_list_costs_as_many_queries_for_five_vms_as_for_five_hundred(
    log_in: LogIn,
    operator: User,
    make_vm: MakeVm,
    make_operation: MakeOperation,
    django_assert_num_queries: Any,
    url: str,
    queries: int,
) -> None:
    client = log_in(operator)
    made = 0
    for count in (5, 500):
        for number in range(made, count):
            vm = make_vm(f"vm{number:03}", VmStatus.REBOOT_IN_PROGRESS if number % 2 else VmStatus.UP)
            make_operation(vm, outcome=None if number % 2 else Outcome.GAVE_UP)
        made = count
        with django_assert_num_queries(queries):
            client.get(url)


def test_the_toolbar_costs_as_many_queries_for_one_vm_as_for_fifty(
    log_in: LogIn, operator: User, make_vm: MakeVm, django_assert_num_queries: Any
) -> None:
    ids = [str(make_vm(f"vm{number}").pk) for number in range(50)]
    client = log_in(operator)
    for count in (1, 50):
        with django_assert_num_queries(6):
            client.get(TOOLBAR, {"vm": ids[:count]})


@pytest.mark.behaviour(11)
def test_pending_changes_are_counted_in_the_row_with_a_link_to_them(
    log_in: LogIn, viewer: User, make_vm: MakeVm
) -> None:
    two, one, none = (
        make_vm("two", **pending(memory=8 << 30, vcpus=4)),
        make_vm("one", **pending(cd_image="/isos/debian.iso")),
        make_vm("none"),
    )
    html = log_in(viewer).get(BOARD).content.decode()
    assert "2 changes" in html
    assert "1 change<" in html
    for vm in (two, one):
        assert f'href="{reverse("vm_pending", args=[vm.pk])}"' in html
    assert reverse("vm_pending", args=[none.pk]) not in html


@pytest.mark.behaviour(11)
def test_changes_that_the_host_is_still_to_store_are_counted_too(
    log_in: LogIn, viewer: User, vm: VirtualMachine, make_vm: MakeVm, django_assert_num_queries: Any
) -> None:
    client = log_in(viewer)
    vms = [vm, *(make_vm(f"vm{number}") for number in range(5))]
    for each in vms:
        ConfigurationChange.objects.create(
            vm=each, values={"memory": 8 << 30, "vcpus": 4}, actor_name="grace", correlation_id="x"
        )
    VirtualMachine.objects.update(change_waits=True)
    with django_assert_num_queries(10):  # one more than without, for however many
        html = client.get(BOARD).content.decode()
    assert html.count("2 changes") == html.count("being stored") == len(vms)


def test_runs_that_differ_are_marked(log_in: LogIn, viewer: User, make_vm: MakeVm) -> None:
    client = log_in(viewer)
    make_vm()
    plain = client.get(BOARD).content.decode()
    assert "Run once" not in plain
    assert "Stateless" not in plain
    make_vm("rescue", run_once=True)
    make_vm("kiosk", run_stateless=True)
    html = client.get(BOARD).content.decode()
    assert html.count(">Run once<") == html.count(">Stateless<") == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [("pending=yes", ["changed", "storing"]), ("pending=No", ["plain"]), ("pending=yes name=ch*", ["changed"])],
)
def test_the_list_can_be_narrowed_to_what_waits(
    log_in: LogIn, viewer: User, make_vm: MakeVm, text: str, found: list[str]
) -> None:
    make_vm("changed", **pending(vcpus=4))
    make_vm("storing", change_waits=True)
    make_vm("plain")
    response = log_in(viewer).get(LIST, {"filter": text})
    assert names(response) == found


def test_pending_is_yes_or_no_and_sorts(log_in: LogIn, viewer: User, make_vm: MakeVm) -> None:
    client = log_in(viewer)
    assert "either pending=yes or pending=no" in client.get(LIST, {"filter": "pending=2"}).content.decode()
    make_vm("a", **pending(vcpus=4))
    make_vm("b", **pending(vcpus=4, memory=8 << 30))
    make_vm("c")
    for sort, order in (("pending", ["c", "a", "b"]), ("-pending", ["b", "a", "c"])):
        assert names(client.get(LIST, {"sort": sort})) == order


def test_run_once_stands_beside_run_and_is_for_one_vm(log_in: LogIn, operator: User, make_vm: MakeVm) -> None:
    client = log_in(operator)
    one, two = make_vm("a", VmStatus.DOWN), make_vm("b", VmStatus.DOWN)
    html = client.get(TOOLBAR, {"vm": str(one.pk)}).content.decode()
    assert 'id="vm_toolbar_run_menu_run_once"' in html
    assert 'hx-get="/vms/run-once/"' in html
    both = client.get(TOOLBAR, {"vm": [str(one.pk), str(two.pk)]})
    (group,) = both.context["toolbar_run"]
    assert [control.why_not for control in group] == ["Select one virtual machine only."]
    menu = client.get(reverse("vm_menu", args=[one.pk])).content.decode()
    assert "Run once…" in menu
    assert "Pending changes…" in menu

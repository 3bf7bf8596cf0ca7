"""Searches, orders and cuts of collections, and what is inlined: over the API, as clients were heard to ask."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.test import Client
from django.utils import timezone
from lxml import etree
from rest_framework.test import APIClient

from tests.api.conftest import as_person
from tests.support.scene import MakeOperation, MakeVm, pending, the_role
from vms.api import search_fields
from vms.api.collections import PAGE_SIZE
from vms.api.declare import Kind, Resource, Scalar
from vms.api.following import Batch, Link, inline, wanted
from vms.api.searching import Columns, Texts
from vms.domain.api_search import SearchError, parse
from vms.domain.operation import Outcome
from vms.domain.power import Action, VmStatus
from vms.engine.records import Code
from vms.models import Assignment, Event, Host, Tag, VirtualMachine

pytestmark = pytest.mark.django_db

VMS = "/ovirt-engine/api/vms"


def _names(client: Client, question: str = "") -> list[str]:
    answer = client.get(f"{VMS}{question}")
    assert answer.status_code == 200, answer.content
    return [vm.findtext("name") or "" for vm in etree.fromstring(answer.content)]


def _found(client: Client, search: str, more: str = "") -> list[str]:
    return _names(client, f"?search={quote(search)}{more}")


def _refused(client: Client, question: str) -> str:
    answer = client.get(f"{VMS}{question}")
    assert answer.status_code == 400
    fault = etree.fromstring(answer.content)
    assert fault.tag == "fault"
    return fault.findtext("detail") or ""


@pytest.fixture
def fleet(make_vm: MakeVm) -> list[VirtualMachine]:
    """Five VMs, whose names and descriptions hold what SQL takes for wildcards."""
    vms = [
        make_vm("web0", description="the 100% one"),
        make_vm("web01", status=VmStatus.DOWN),
        make_vm("web_1", description="100 percent"),
        make_vm("app 01", status=VmStatus.DOWN, description="Front office"),
        make_vm("db[1]?", status=VmStatus.REBOOT_IN_PROGRESS, **pending(memory=8 << 30)),
    ]
    production, front = Tag.objects.create(name="prod"), Tag.objects.create(name="prod-front")
    vms[0].tags.set([production, front])
    vms[3].tags.set([production])
    return vms


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", ["app 01", "db[1]?", "web0", "web01", "web_1"]),
        # The first of the answer is stopped by a fencing agent.
        ("name=web0", ["web0"]),
        ('name="web01"', ["web01"]),
        ("name=web*", ["web0", "web01", "web_1"]),
        ("name=WEB0*", ["web0", "web01"]),
        ("name=w*0*1", ["web01"]),
        ("name=web_*", ["web_1"]),
        ("name=web_1", ["web_1"]),
        ("name=web?1", []),
        ("name=db[1]*", ["db[1]?"]),
        ("name!=web*", ["app 01", "db[1]?"]),
        ('description="*100%*"', ["web0"]),
        ('name="app 01" and status=down', ["app 01"]),
        ("name=web0 or name=web01 and status=up", ["web0"]),
        ("tag=prod", ["app 01", "web0"]),
        ("tag=prod*", ["app 01", "web0"]),
        ("tag!=prod", ["db[1]?", "web01", "web_1"]),
        ("status=up", ["web0", "web_1"]),
        ("status=reboot_in_progress", ["db[1]?"]),
        ("status=RebootInProgress", ["db[1]?"]),
        ("status!=down", ["db[1]?", "web0", "web_1"]),
        ("host=kvm1 and status=down", ["app 01", "web01"]),
        ("host!=kvm1", []),
        ("cluster=default", ["app 01", "db[1]?", "web0", "web01", "web_1"]),
        ("cluster=other or name=web0", ["web0"]),
        ("cluster=Default and name=web0", ["web0"]),
        ("name=web0 or cluster=Default", ["app 01", "db[1]?", "web0", "web01", "web_1"]),
        ("datacenter!=Default", []),
        ("fqdn=*", []),
        ('os=other_linux and type=server and comment=""', ["app 01", "db[1]?", "web0", "web01", "web_1"]),
        ("next_run_config_exists=true", ["db[1]?"]),
        ("next_run_config_exists=false and name=db*", []),
        ("office", ["app 01"]),
        ("OFFICE", ["app 01"]),
        ("0*", []),
        ("100", ["web0", "web_1"]),
        ("%", ["web0"]),
        ("sortby name desc", ["web_1", "web01", "web0", "db[1]?", "app 01"]),
        ("sortby status", ["app 01", "web01", "db[1]?", "web0", "web_1"]),
        ("sortby status desc", ["web0", "web_1", "db[1]?", "app 01", "web01"]),
        ("name=web* sortby cluster", ["web0", "web01", "web_1"]),
    ],
)
def test_a_search_finds_what_it_says(
    operator: User, fleet: list[VirtualMachine], search: str, found: list[str]
) -> None:
    assert _found(as_person(operator), search) == found


def test_capital_letters_differ_where_a_client_wants_it(operator: User, fleet: list[VirtualMachine]) -> None:
    client = as_person(operator)
    assert _found(client, "name=WEB0", "&case_sensitive=true") == []
    assert _found(client, "name=WEB*", "&case_sensitive=true") == []
    assert _found(client, "name=web_*", "&case_sensitive=true") == ["web_1"]
    assert _found(client, "name=db[1]?", "&case_sensitive=true") == ["db[1]?"]
    assert _found(client, "name=db[1]*", "&case_sensitive=true") == ["db[1]?"]
    assert _found(client, "name=WEB0", "&case_sensitive=false") == ["web0"]
    assert "case_sensitive" in _refused(client, "?search=name%3Dweb0&case_sensitive=maybe")


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("?all_content=false&case_sensitive=true&follow=&search=name%3Dweb%2A", ["web0", "web01", "web_1"]),
        ("?all_content=true&search=name%3D%22web01%22", ["web01"]),
        ("/?search=name=web01", ["web01"]),
        ("?max=101&search=name%3Ddb*", ["db[1]?"]),
        (";max=1", ["app 01"]),
        (";search=name%3Dweb0*;max=1", ["web0"]),
        ("?search=", ["app 01", "db[1]?", "web0", "web01", "web_1"]),
        ("?search=&max=", ["app 01", "db[1]?", "web0", "web01", "web_1"]),
        ("?max=0", []),
        ("?max=2", ["app 01", "db[1]?"]),
        ("?max=2&search=sortby+name+desc", ["web_1", "web01"]),
        ("?max=2&search=page+2", ["web0", "web01"]),
        ("?max=2&search=name%3Dweb*+sortby+name+desc+page+2", ["web0"]),
        ("?max=2&search=page+4", []),
        ("?search=page+1", ["app 01", "db[1]?", "web0", "web01", "web_1"]),
        ("?search=page+2", []),
        (f"?max={10**18 - 1}&search=page+999999999", []),
        (f"?max={10**18 - 1}", ["app 01", "db[1]?", "web0", "web01", "web_1"]),
        ("?from=5", ["app 01", "db[1]?", "web0", "web01", "web_1"]),
    ],
)
def test_the_addresses_that_clients_ask(
    operator: User, fleet: list[VirtualMachine], question: str, found: list[str]
) -> None:
    assert _names(as_person(operator), question) == found


def test_a_vm_is_found_by_its_whole_id(operator: User, fleet: list[VirtualMachine]) -> None:
    client = as_person(operator)
    assert _found(client, f"id={fleet[0].pk}") == ["web0"]
    assert len(_found(client, f"id!={fleet[0].pk}")) == 4
    assert "whole id" in _refused(client, "?search=id%3Dweb*")


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("nme=web", "there is no field `nme`. There are name, status, id, "),
        ("name=a and nme=web", "Character 12"),
        ("sortby nme", "there is no field `nme`"),
        ("sortby tag", "nothing is sorted by `tag`"),
        ("name>web", "`name` is compared by = and != only"),
        ("status>down", "`status` is compared by = and != only"),
        ("cluster<x", "`cluster` is compared by = and != only"),
        ("tag>x", "`tag` is compared by = and != only"),
        ("status=running", "`status` is one of down, "),
        ("next_run_config_exists=maybe", "next_run_config_exists is true or false"),
        ('name="web', "not closed"),
        ("name=a\0", "Leave it out"),
    ],
)
def test_what_cannot_be_searched_for_is_a_fault_that_says_why(
    operator: User, vm: VirtualMachine, search: str, told: str
) -> None:
    assert told in _refused(as_person(operator), f"?search={quote(search)}")


def test_numbers_of_the_address_are_numbers(operator: User) -> None:
    for wrong in ("-1", "x", "1.5"):
        assert "max is a number" in _refused(as_person(operator), f"?max={wrong}")


@pytest.mark.parametrize("filtered", ["", "true", "false"])
def test_somebody_finds_what_they_may_see_alone(
    admin: User, outsider: User, fleet: list[VirtualMachine], filtered: str
) -> None:
    """With the header and without it: who sees all has a permission on all."""
    Assignment.objects.create(role=the_role("Viewer"), user=outsider, tag=Tag.objects.get(name="prod"))
    headers = {"Filter": filtered} if filtered else {}
    for person, found in ((outsider, ["app 01", "web0"]), (admin, ["app 01", "db[1]?", "web0", "web01", "web_1"])):
        answer = as_person(person).get(f"{VMS}?search=name!%3Dx&filter={filtered}", headers=headers)
        assert [vm.findtext("name") for vm in etree.fromstring(answer.content)] == found


def test_a_vm_with_two_tags_that_match_is_one_vm(operator: User, fleet: list[VirtualMachine]) -> None:
    assert _found(as_person(operator), "tag=*o*") == ["app 01", "web0"]


# What is inlined.


def test_the_tags_of_vms_are_inlined_where_that_is_asked_for(operator: User, fleet: list[VirtualMachine]) -> None:
    client = as_person(operator)
    answer = etree.fromstring(client.get(f"{VMS}?follow=tags,nothing,nics.vm").content)
    assert {vm.findtext("name"): [tag.findtext("name") for tag in vm.findall("tags/tag")] for vm in answer} == {
        "app 01": ["prod"],
        "db[1]?": [],
        "web0": ["prod", "prod-front"],
        "web01": [],
        "web_1": [],
    }
    # Their names come behind the VM's own, which the first are taken for.
    assert all(next(vm.iter("name")).getparent() is vm for vm in answer)
    assert b"<tags" not in client.get(f"{VMS}?follow=").content


def test_they_are_inlined_in_a_single_vm_and_in_json_too(operator: User, fleet: list[VirtualMachine]) -> None:
    client = as_person(operator)
    answer = client.get(f"{VMS}/{fleet[0].pk}?follow=tags", headers={"Accept": "application/json"})
    shown = json.loads(answer.content)
    assert [tag["name"] for tag in shown["tags"]["tag"]] == ["prod", "prod-front"]


def test_host_and_cluster_take_the_places_of_their_references(operator: User, fleet: list[VirtualMachine]) -> None:
    vms = etree.fromstring(as_person(operator).get(f"{VMS}?follow=host,cluster").content)
    told = {vm.findtext("name"): (vm.findtext("host/name"), vm.findtext("cluster/name")) for vm in vms}
    assert told == {
        "app 01": (None, "Default"),
        "db[1]?": ("kvm1", "Default"),
        "web0": ("kvm1", "Default"),
        "web01": (None, "Default"),
        "web_1": ("kvm1", "Default"),
    }


def _named(name: str, plural: str) -> Resource[str]:
    return Resource(
        name, plural, plural, id_of=lambda it: it, members=(Scalar("name", Kind.TEXT, lambda it: it.upper()),)
    )


def test_links_are_followed_further_and_lead_back_to_nothing(operator: User) -> None:
    vm, host, nic = _named("vm", "vms"), _named("host", "hosts"), _named("nic", "nics")
    asked: list[list[str]] = []

    def nics_of(_viewer: object, hosts: Any) -> list[list[str]]:
        asked.append(list(hosts))
        return [[f"{one}-a", f"{one}-b"] for one in hosts]

    links: dict[str, Link[str]] = {
        "host": Link(
            host,
            lambda _viewer, vms: [[] if one == "adrift" else [f"host of {one}"] for one in vms],
            single=True,
            links={"nics": Link(nic, nics_of), "vms": Link(vm, lambda _viewer, hosts: [["x"] for _ in hosts])},
        )
    }
    sources = ["web", "adrift", "db"]
    trees: list[dict[str, Any]] = [{"id": source, "host": {"id": "bare"}} for source in sources]
    inline(operator, Batch(vm, links, sources, trees), wanted("host.nics,host.vms,host.nothing,,nothing.host"))
    assert trees[1] == {"id": "adrift", "host": {"id": "bare"}}
    assert trees[2]["host"]["name"] == "HOST OF DB"
    assert [one["id"] for one in trees[2]["host"]["nics"].values] == ["host of db-a", "host of db-b"]
    assert asked == [["host of web", "host of db"]]
    assert "vms" not in trees[0]["host"]


def test_what_is_inlined_shows_nothing_of_the_kind_that_it_is_inlined_in(operator: User) -> None:
    vm = _named("vm", "vms")
    given: Resource[str] = Resource(
        "permission", "permissions", "permissions", id_of=lambda it: it, members=(_vm_reference(),)
    )
    trees: list[dict[str, Any]] = [{"id": "web"}]
    links: dict[str, Link[str]] = {"permissions": Link(given, lambda _viewer, vms: [["p"] for _ in vms])}
    inline(operator, Batch(vm, links, ["web"], trees), wanted("permissions"))
    assert trees[0]["permissions"].values == [{"href": "/ovirt-engine/api/permissions/p", "id": "p"}]


def _vm_reference() -> Scalar[str]:
    return Scalar("vm", Kind.TEXT, lambda it: it)


# What it costs.


@pytest.mark.parametrize("question", ["", "?follow=tags", "?search=tag%3Dprod*+and+host%3Dkvm1+sortby+status&max=100"])
def test_a_list_takes_as_many_queries_however_long_it_is(
    operator: User,
    make_vm: MakeVm,
    make_operation: MakeOperation,
    django_assert_num_queries: Any,
    question: str,
) -> None:
    tag = Tag.objects.create(name="prod")
    client = APIClient()
    for count in (1, 12):
        for number in range(count):
            vm = make_vm(f"web{count}-{number}", **pending(memory=8 << 30))
            vm.tags.add(tag)
            make_operation(vm)
            make_operation(
                down := make_vm(f"db{count}-{number}", VmStatus.DOWN), Action.SHUT_DOWN, outcome=Outcome.CLEAN_ACPI
            )
            down.tags.add(tag)
        # Read anew, so that what they may do is, too.
        client.force_authenticate(User.objects.get(pk=operator.pk))
        with django_assert_num_queries(5):
            assert client.get(f"{VMS}{question}").status_code == 200


# Tables of other resources.


def _ids(fields: Columns, rows: QuerySet[Any], search: str, *, sensitive: bool = False) -> list[Any]:
    return list(fields.found(rows, parse(search), sensitive=sensitive).values_list("pk", flat=True))


@pytest.fixture
def events(vm: VirtualMachine, host: Host) -> list[int]:
    """The ids of three events, oldest first: normal, a warning, an error."""
    now = timezone.now()
    made = [
        Event.objects.create(
            code=code,
            severity=severity,
            message=f"event {code}",
            vm=vm if code == Code.VM_REBOOTED else None,
            host=host,
            actor_name="ada" if code == Code.VM_REBOOTED else "",
            correlation_id=f"c-{code}",
            at=now - timedelta(days=days),
        )
        for code, severity, days in (
            (Code.VM_REBOOTED, "normal", 3),
            (Code.VM_POWER_DOWN_FAILED, "warning", 2),
            (Code.VM_REBOOT_FAILED, "error", 1),
        )
    ]
    return [event.pk for event in made]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", [2, 1, 0]),
        ("severity>normal sortby time desc", [2, 1]),
        ("severity>=warning", [2, 1]),
        ("severity<error", [1, 0]),
        ("severity<=warning sortby time", [0, 1]),
        ("severity!=warning", [2, 0]),
        ("severity=alert", []),
        ("severity<alert", [2, 1, 0]),
        ("sortby severity", [0, 1, 2]),
        ("type=157 or type=158 sortby time desc", [2, 0]),
        ("type!=157", [2, 1]),
        ("type>147 and type<=158 sortby time asc", [0, 2]),
        ("sortby time asc", [0, 1, 2]),
        ("message=*158", [2]),
        ("vm.name=web01", [0]),
        ("event_vm=web*", [0]),
        ("event_vm!=web01", [2, 1]),
        ("event_host=kvm1 and severity=error", [2]),
        ("usrname=ada@internal", [0]),
        ("usrname=ADA@internal-authz", [0]),
        ("usrname=ada", [0]),
        ("usrname=ad", []),
        ("correlation_id=c-158", [2]),
        ("time<today", [2, 1, 0]),
        ("time>=today", []),
        ("time!=2001-01-01", [2, 1, 0]),
        ("custom_event_id=1", []),
        ("EVENT", [2, 1, 0]),
    ],
)
def test_events_are_searched_newest_first(events: list[int], search: str, found: list[int]) -> None:
    assert _ids(search_fields.EVENTS, Event.objects.all(), search) == [events[place] for place in found]


def test_events_over_the_api_begin_behind_the_last_one_that_is_known(operator: User, events: list[int]) -> None:
    client = as_person(operator)

    def ids(question: str) -> list[int]:
        answer = client.get(f"/ovirt-engine/api/events{question}")
        assert answer.status_code == 200, answer.content
        return [int(event.get("id", "")) for event in etree.fromstring(answer.content)]

    assert ids(f"?from={events[0]}") == [events[2], events[1]]
    assert ids(f"?from={events[0]}&search=sortby+time+asc&max=1") == [events[1]]
    assert ids("?max=1&search=severity%3Enormal+sortby+time+desc&case_sensitive=true&follow=") == [events[2]]
    assert ids(f"?from={events[2]}") == []


def test_events_of_a_day_and_of_a_minute(events: list[int]) -> None:
    at = timezone.localtime(Event.objects.get(pk=events[1]).at)
    rows = Event.objects.all()
    assert _ids(search_fields.EVENTS, rows, f"time={at:%Y-%m-%d}") == [events[1]]
    assert _ids(search_fields.EVENTS, rows, f'time="{at:%Y-%m-%d %H:%M}"') == [events[1]]
    assert _ids(search_fields.EVENTS, rows, f'time>"{at:%Y-%m-%d}"') == [events[2]]
    assert _ids(search_fields.EVENTS, rows, f"time<{at:%Y-%m-%d}") == [events[0]]


@pytest.mark.parametrize("search", ["type=web", "type=-1", "type=1*", "type=9999999999", "time=soon", "severity=loud"])
def test_values_that_no_event_can_have_are_refused(events: list[int], search: str) -> None:
    with pytest.raises(SearchError):
        _ids(search_fields.EVENTS, Event.objects.all(), search)


def test_hosts_are_up_only_while_somebody_watches_them(host: Host) -> None:
    away = Host.objects.create(name="kvm2", uri="qemu+ssh://kvm2/system", state=Host.State.UNREACHABLE)
    unheard = Host.objects.create(
        name="kvm3",
        uri="qemu+ssh://kvm3/system",
        state=Host.State.CONNECTED,
        watched_until=timezone.now() - timedelta(hours=1),
    )
    rows = Host.objects.all()
    assert _ids(search_fields.HOSTS, rows, "status=up") == [host.pk]
    assert _ids(search_fields.HOSTS, rows, "status=non_responsive sortby name desc") == [unheard.pk, away.pk]
    assert _ids(search_fields.HOSTS, rows, "name=kvm1 and cluster=Default") == [host.pk]
    assert _ids(search_fields.HOSTS, rows, "tag!=x and status!=up") == [away.pk, unheard.pk]


def test_users_are_found_by_the_name_that_clients_write(operator: User, admin: User) -> None:
    rows = User.objects.order_by("username")
    assert _ids(search_fields.USERS, rows, "usrname=ada@internal-authz") == [admin.pk]
    assert _ids(search_fields.USERS, rows, "usrname=*@internal sortby usrname desc") == [operator.pk, admin.pk]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", ["Blank", "other"]),
        ("name=blank", ["Blank"]),
        ("name!=blank", ["other"]),
        ("vm.name=web01", ["Blank"]),
        ("vm.name!=web01", ["other"]),
        ("lan", ["Blank"]),
        ("name=x or vm.name=db* and name=Blank", ["Blank"]),
        ("sortby name desc", ["other", "Blank"]),
    ],
)
def test_what_is_in_no_table_is_searched_alike(search: str, found: list[str]) -> None:
    vms = {"Blank": ["web01", "db01"], "other": []}
    fields: Texts[str] = Texts({"name": lambda it: [it], "vm.name": lambda it: vms[it]})
    assert fields.found(["Blank", "other"], parse(search), sensitive=False) == found
    with pytest.raises(SearchError, match=r"There are name, vm\.name"):
        fields.found(["Blank"], parse("nme=x"), sensitive=False)


def test_a_word_alone_finds_nothing_where_there_is_no_text(vm: VirtualMachine) -> None:
    fields = Columns({"status": search_fields.VMS.fields["status"]})
    assert _ids(fields, VirtualMachine.objects.filter(Q()), "web") == []


def test_a_page_has_a_size_of_its_own_where_none_is_asked_for(operator: User, make_vm: MakeVm) -> None:
    for number in range(PAGE_SIZE + 1):
        make_vm(f"web{number:03}")
    assert _names(as_person(operator), "?search=page+2") == [f"web{PAGE_SIZE:03}"]

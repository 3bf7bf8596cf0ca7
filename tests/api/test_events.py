"""Events over the API: the portal's, and those that other programs tell."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.api.asking import API, asked, delete, get, get_json, names, post, reference
from tests.api.conftest import as_person
from tests.support.scene import MakeVm, the_role
from vms.engine.records import Code, record
from vms.models import Assignment, Event, ExternalEvent, VirtualMachine

pytestmark = pytest.mark.django_db

BACKUP = "<event><origin>backup</origin><severity>{}</severity><custom_id>7</custom_id>{}</event>"
TOLD = "<description>All of it is safe.</description>"


def happened(vm: VirtualMachine, message: str = "VM web01 is down.", actor: User | None = None) -> Event:
    return record(Code.VM_DOWN, message, vm=vm, actor=actor, correlation_id="abc")


def test_the_newest_comes_first_and_its_id_is_its_index(operator: User, vm: VirtualMachine) -> None:
    first, second = happened(vm, "one"), happened(vm, "two")
    listed = get(as_person(operator), "/events")
    ours = [event for event in listed if event.get("id") in (str(first.pk), str(second.pk))]
    assert [event.findtext("description") for event in ours] == ["two", "one"]
    assert [event.findtext("index") for event in listed] == [event.get("id") for event in listed]
    assert names(get(as_person(operator), "/events?max=1"), "index") == [listed[0].get("id")]


def test_one_says_what_happened_to_what_and_by_whom(operator: User, vm: VirtualMachine) -> None:
    client, event = as_person(operator), happened(vm, actor=operator)
    shown = get(client, f"/events/{event.pk}")
    told = {name: shown.findtext(name) for name in ("code", "severity", "origin", "correlation_id", "custom_id")}
    assert told == {
        "code": "61",
        "severity": "normal",
        "origin": "VM Portal",
        "correlation_id": "abc",
        "custom_id": None,
    }
    assert get(client, reference(shown, "vm")).findtext("name") == vm.name
    assert get(client, reference(shown, "host")).findtext("name") == vm.host.name
    assert get(client, reference(shown, "user")).findtext("principal") == "oskar"
    get(client, reference(shown, "cluster"))
    assert get_json(client, f"/events/{event.pk}")["time"] == int(event.at.timestamp() * 1000)


def test_those_of_other_vms_are_not_there(outsider: User, vm: VirtualMachine, make_vm: MakeVm) -> None:
    mine = make_vm("mine")
    Assignment.objects.create(user=outsider, role=the_role("Viewer"), vm=mine)
    seen, hidden = happened(mine, "seen"), happened(vm, "hidden")
    client = as_person(outsider)
    assert names(get(client, "/events"), "description") == ["seen"]
    get(client, f"/events/{seen.pk}")
    get(client, f"/events/{hidden.pk}", status=404)


@pytest.mark.parametrize("event_id", ["0", "x", "-1", "9" * 30, "1.5"])
def test_what_is_no_event_is_not_found(operator: User, event_id: str) -> None:
    get(as_person(operator), f"/events/{event_id}", status=404)


def test_the_list_asks_the_same_for_three_and_for_thirty(viewer: User, admin: User, vm: VirtualMachine) -> None:
    client, writer = as_person(viewer), as_person(admin)

    def add(count: int) -> None:
        for _ in range(count):
            happened(vm, actor=viewer)
            post(writer, "/events", BACKUP.format("normal", TOLD))

    add(3)
    three = asked(client, "/events")
    add(27)
    assert len(get(client, "/events")) >= 60
    assert asked(client, "/events") == three


@pytest.mark.parametrize(
    ("severity", "code", "kept"),
    [("normal", 9801, "normal"), ("warning", 9802, "warning"), ("error", 9803, "error"), ("alert", 9804, "error")],
)
def test_another_program_tells_something(admin: User, severity: str, code: int, kept: str) -> None:
    client = as_person(admin)
    made = post(client, "/events", BACKUP.format(severity, TOLD))
    event = Event.objects.get(pk=str(made.get("id")))
    assert (event.code, event.severity, event.message, event.actor) == (code, kept, "All of it is safe.", admin)
    shown = get(client, f"/events/{made.get('id')}")
    told = [shown.findtext(name) for name in ("severity", "origin", "custom_id", "description")]
    assert told == [severity, "backup", "7", "All of it is safe."]


def test_it_may_be_about_a_vm_by_id_or_name_or_about_a_host(admin: User, vm: VirtualMachine) -> None:
    client = as_person(admin)
    host = get(client, "/hosts")[0].get("id")
    for about in (f'<vm id="{vm.pk}"/>', f"<vm><name>{vm.name}</name></vm>"):
        made = post(client, "/events", BACKUP.format("normal", TOLD + about))
        assert reference(made, "vm") == f"/vms/{vm.pk}"
        assert made.find("host").get("id") == host  # type: ignore[union-attr]
    made = post(client, "/events", BACKUP.format("normal", TOLD + f'<host id="{host}"/>'))
    assert (made.find("vm"), made.find("host").get("id")) == (None, host)  # type: ignore[union-attr]
    post(client, "/events", BACKUP.format("normal", TOLD + "<vm><name>nobody</name></vm>"), status=404)


@pytest.mark.parametrize("missing", ["origin", "severity", "custom_id", "description"])
def test_all_four_are_needed(admin: User, missing: str) -> None:
    whole = {"origin": "backup", "severity": "normal", "custom_id": "7", "description": "Done."}
    body = "".join(f"<{name}>{value}</{name}>" for name, value in whole.items() if name != missing)
    fault = post(as_person(admin), "/events", f"<event>{body}</event>", status=400)
    assert (fault.findtext("reason"), missing in str(fault.findtext("detail"))) == ("Incomplete parameters", True)
    assert not ExternalEvent.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        BACKUP.format("terrible", TOLD),
        BACKUP.format("normal", TOLD).replace(">7<", ">seven<"),
        BACKUP.format("normal", TOLD).replace("backup", "b" * 256),
    ],
)
def test_what_cannot_be_is_refused(admin: User, wrong: str) -> None:
    assert post(as_person(admin), "/events", wrong, status=400).findtext("reason") == "Invalid value"
    assert not ExternalEvent.objects.exists()


@pytest.mark.parametrize("character", ["\\u0000", "\\ud800", "\\u000b"])
def test_what_no_text_has_is_refused(admin: User, vm: VirtualMachine, character: str) -> None:
    client = as_person(admin)
    whole = '"origin": "backup", "severity": "normal", "custom_id": 7'
    bodies = (
        f'{{{whole}, "description": "a{character}"}}',
        f'{{{whole}, "description": "a", "vm": {{"name": "{character}"}}}}',
    )
    for body in bodies:
        answer = client.post(f"{API}/events", body, content_type="application/json")
        assert (answer.status_code, b"no text has" in answer.content) == (400, True)
    assert not ExternalEvent.objects.exists()


def test_who_may_not_tell_is_refused(operator: User, vm: VirtualMachine) -> None:
    before = Event.objects.count()
    post(as_person(operator), "/events", BACKUP.format("normal", TOLD), status=403)
    assert Event.objects.count() == before


def test_what_was_told_can_be_withdrawn_and_history_keeps_it(admin: User, operator: User) -> None:
    client = as_person(admin)
    told = post(client, "/events", BACKUP.format("normal", TOLD)).get("id")
    delete(as_person(operator), f"/events/{told}", status=403)
    get(client, f"/events/{told}")
    delete(client, f"/events/{told}")
    get(client, f"/events/{told}", status=404)
    assert told not in [event.get("id") for event in get(client, "/events")]
    assert Event.objects.filter(pk=str(told)).exists()


def test_the_portals_own_are_never_withdrawn(admin: User, vm: VirtualMachine) -> None:
    event = happened(vm)
    delete(as_person(admin), f"/events/{event.pk}", status=409)
    get(as_person(admin), f"/events/{event.pk}")

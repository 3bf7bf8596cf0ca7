"""What is done to a VM over the API: parameters, answers and faults."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User

from tests.api.conftest import as_person
from tests.api.wire import VMS, Wire
from tests.support.scene import MakeOperation, MakeVm, pending
from vms.domain.power import Action, VmStatus
from vms.models import Operation, Tag, VirtualMachine

pytestmark = pytest.mark.django_db
VERBS = ("start", "stop", "shutdown", "reboot", "reset", "powercycle", "suspend")


@pytest.mark.behaviour(24)
@pytest.mark.parametrize(
    ("verb", "before", "action", "after"),
    [
        ("start", VmStatus.DOWN, Action.RUN, VmStatus.WAIT_FOR_LAUNCH),
        ("start", VmStatus.PAUSED, Action.RUN, VmStatus.WAIT_FOR_LAUNCH),
        ("stop", VmStatus.UP, Action.POWER_OFF, VmStatus.POWERING_DOWN),
        ("stop", VmStatus.POWERING_DOWN, Action.POWER_OFF, VmStatus.POWERING_DOWN),
        ("shutdown", VmStatus.UP, Action.SHUT_DOWN, VmStatus.POWERING_DOWN),
        ("reboot", VmStatus.UP, Action.REBOOT, VmStatus.REBOOT_IN_PROGRESS),
        ("reset", VmStatus.UP, Action.POWER_CYCLE, VmStatus.REBOOT_IN_PROGRESS),
        ("powercycle", VmStatus.UP, Action.POWER_CYCLE, VmStatus.REBOOT_IN_PROGRESS),
        ("suspend", VmStatus.UP, Action.SUSPEND, VmStatus.SAVING_STATE),
    ],
)
def test_a_verb_is_accepted_and_the_status_has_moved(
    operator: User, make_vm: MakeVm, verb: str, before: VmStatus, action: Action, after: VmStatus
) -> None:
    vm = make_vm(status=before)
    wire = Wire(operator)
    answer = wire.act(vm, verb)
    operation = Operation.objects.get()
    assert operation.action == action
    assert (answer.status, answer.text("status"), answer.ref("job")) == (200, "complete", str(operation.pk))
    assert wire.get(vm).text("status") == after


@pytest.mark.parametrize("body", ["", "<action/>", "<action />", "<action></action>"])
def test_every_spelling_of_nothing_is_one(operator: User, vm: VirtualMachine, body: str) -> None:
    assert Wire(operator).act(vm, "reboot", body).status == 200


def test_json_is_answered_in_json(operator: User, vm: VirtualMachine) -> None:
    headers = {"Accept": "application/json"}
    client = as_person(operator)
    address = f"{VMS}/{vm.pk}/shutdown"
    answer = client.post(address, '{"force": true}', content_type="application/json", headers=headers)
    operation = Operation.objects.get()
    assert json.loads(answer.content) == {
        "job": {"href": f"/ovirt-engine/api/jobs/{operation.pk}", "id": str(operation.pk)},
        "status": "complete",
    }
    assert operation.requested_force is True
    again = client.post(address, "{}", content_type="application/json", headers=headers)
    told = json.loads(again.content)
    assert (again.status_code, told["status"], told["fault"]["reason"]) == (409, "failed", "Operation Failed")


@pytest.mark.behaviour(3)
@pytest.mark.parametrize("verb", ["shutdown", "reboot"])
@pytest.mark.parametrize(
    ("body", "query", "asked"),
    [
        ("<action/>", "", (None, None)),
        ("<action><force>true</force></action>", "", (True, None)),
        ("<action><force>false</force><reason>patch day</reason></action>", "", (False, None)),
        ("<action/>", "?graceful_delay=45", (None, 45)),
        ("<action><graceful_delay>30</graceful_delay></action>", "", (None, 30)),
        ("<action><graceful_delay>30</graceful_delay></action>", "?graceful_delay=45", (None, 45)),
        ("<action/>", ";force;graceful_delay=0", (True, 0)),
    ],
)
def test_a_request_may_override_the_policy_once(
    operator: User, vm: VirtualMachine, verb: str, body: str, query: str, asked: tuple[bool | None, int | None]
) -> None:
    assert Wire(operator).act(vm, verb, body, query).status == 200
    operation = Operation.objects.get()
    assert (operation.requested_force, operation.requested_delay) == asked
    vm.refresh_from_db()
    assert (vm.force_power_off, vm.graceful_delay) == (None, None)


def test_a_shut_down_that_says_so_is_a_reboot(operator: User, vm: VirtualMachine) -> None:
    body = "<action><reboot>true</reboot><force>true</force></action>"
    assert Wire(operator).act(vm, "shutdown", body).status == 200
    operation = Operation.objects.get()
    assert (operation.action, operation.requested_force) == (Action.REBOOT, True)


@pytest.mark.parametrize("verb", ["stop", "reset", "suspend"])
def test_what_asks_no_guest_takes_what_it_has_no_use_for(operator: User, vm: VirtualMachine, verb: str) -> None:
    body = (
        "<action><async>false</async><force>true</force><grace_period><expiry>100</expiry></grace_period>"
        "<filter>true</filter><reason>patch day</reason></action>"
    )
    assert Wire(operator).act(vm, verb, body, "?graceful_delay=5").status == 200
    assert Operation.objects.get().reason == "patch day"


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ("<action><force>perhaps</force></action>", ""),
        ("<action><graceful_delay>3601</graceful_delay></action>", ""),
        ("<action/>", "?graceful_delay=-1"),
        ("<action/>", "?graceful_delay=1.5"),
        ("<action/>", "?graceful_delay=0&force=false"),
        ("<action/>", "?graceful_delay=0"),
        (f"<action><reason>{'x' * 501}</reason></action>", ""),
        ("<action/>", "?reason=%00"),
        ("<action>now</action>", ""),
        ("<action><force>", ""),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_done(
    operator: User, vm: VirtualMachine, body: str, query: str
) -> None:
    answer = Wire(operator).act(vm, "reboot", body, query)
    assert (answer.status, answer.text("status")) == (400, "failed")
    assert answer.detail
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        ("start", VmStatus.UP),
        ("stop", VmStatus.DOWN),
        ("shutdown", VmStatus.DOWN),
        ("reboot", VmStatus.PAUSED),
        ("reset", VmStatus.SUSPENDED),
        ("suspend", VmStatus.POWERING_UP),
        ("reboot", VmStatus.NOT_RESPONDING),
    ],
)
def test_what_the_status_does_not_allow_names_it(operator: User, make_vm: MakeVm, verb: str, status: VmStatus) -> None:
    vm = make_vm(status=status)
    answer = Wire(operator).act(vm, verb)
    assert (answer.status, answer.text("fault/reason"), answer.text("status")) == (409, "Operation Failed", "failed")
    assert answer.detail == f"[Cannot {_SAID[verb]} {vm.name} because it is {vm.get_status_display()}.]"


_SAID = {
    "start": "run",
    "stop": "power off",
    "shutdown": "shut down",
    "reboot": "reboot",
    "reset": "power cycle",
    "suspend": "suspend",
}


@pytest.mark.behaviour(22)
def test_what_is_in_the_way_is_named(operator: User, vm: VirtualMachine, make_operation: MakeOperation) -> None:
    running = make_operation(vm, Action.REBOOT)
    answer = Wire(operator).act(vm, "reboot")
    assert (answer.status, answer.ref("job")) == (409, str(running.pk))
    assert "a reboot asked for by grace is running on it" in answer.detail
    assert str(running.pk) in answer.detail


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_only_look_is_told_so_in_an_action(viewer: User, vm: VirtualMachine, verb: str) -> None:
    for query in ("", "?dry_run=true"):
        answer = Wire(viewer).act(vm, verb, query=query)
        assert (answer.status, answer.text("status")) == (403, "failed")
        assert answer.detail == "[User is not authorized to perform this action.]"
    assert not Operation.objects.exists()


def test_a_vm_that_wants_a_reason_gets_one_in_either_place(operator: User, vm: VirtualMachine) -> None:
    vm.tags.add(Tag.objects.create(name="prod", reason_required=True))
    wire = Wire(operator)
    refused = wire.act(vm, "reboot")
    assert (refused.status, refused.text("fault/reason")) == (400, "Incomplete parameters")
    assert not Operation.objects.exists()
    assert wire.act(vm, "reboot", query="?reason=patch%20day").status == 200
    assert Operation.objects.get().reason == "patch day"
    assert wire.act(vm, "stop", "<action><reason>it hangs</reason></action>").status == 200


def test_what_is_no_verb_is_a_fault(operator: User, vm: VirtualMachine) -> None:
    assert Wire(operator).act(vm, "explode").status == 404
    wrong_method = as_person(operator).get(f"{VMS}/{vm.pk}/start")
    assert (wrong_method.status_code, b"<fault>" in wrong_method.content) == (405, True)


# What would be done.


@pytest.mark.behaviour(34)
def test_a_dry_run_says_what_the_confirmation_shows(operator: User, make_vm: MakeVm) -> None:
    vm = make_vm(graceful_delay=40, **pending(memory=8 << 30))
    wire = Wire(operator)
    answer = wire.act(vm, "reboot", query="?dry_run=true")
    assert (answer.status, answer.text("status"), answer.text("dry_run")) == (200, "complete", "true")
    assert answer.texts("plan/steps/step/kind") == ["ask_agent", "press_button", "power_off", "start"]
    assert answer.texts("plan/steps/step/after") == ["0", "20", "40"]
    assert answer.texts("plan/power_down_policy/*") == ["true", "pending_changes", "40", "vm"]
    assert answer.texts("plan/consequences/consequence/kind") == ["applies_changes"]
    assert answer.texts("plan/changes/change/*") == ["memory", "4 GiB", "8 GiB"]
    assert answer.texts("plan/subject/name") == [vm.name]
    assert not Operation.objects.exists()
    # And that is what is kept with the operation.
    wire.act(vm, "reboot")
    plan = Operation.objects.get().plan
    assert [step["kind"] for step in plan["steps"]] == answer.texts("plan/steps/step/kind")
    assert wire.get(vm).text("status") == "reboot_in_progress"


@pytest.mark.parametrize(
    ("verb", "status", "steps"),
    [
        ("start", VmStatus.DOWN, ["start"]),
        ("stop", VmStatus.UP, ["power_off"]),
        ("shutdown", VmStatus.UP, ["ask_agent", "press_button", "give_up"]),
        ("reset", VmStatus.UP, ["power_off", "start"]),
        ("powercycle", VmStatus.UP, ["power_off", "start"]),
        ("suspend", VmStatus.UP, ["save"]),
    ],
)
def test_every_verb_has_a_dry_run(
    operator: User, make_vm: MakeVm, verb: str, status: VmStatus, steps: list[str]
) -> None:
    vm = make_vm(status=status)
    answer = Wire(operator).act(vm, verb, "<action><dry_run>true</dry_run></action>")
    assert answer.texts("plan/steps/step/kind") == steps
    vm.refresh_from_db()
    assert (vm.status, Operation.objects.count()) == (status, 0)


def test_a_dry_run_takes_the_override_and_says_what_it_would_end(
    operator: User, vm: VirtualMachine, make_operation: MakeOperation
) -> None:
    wire = Wire(operator)
    forced = wire.act(vm, "shutdown", "<action><force>true</force></action>", "?dry_run&graceful_delay=10")
    assert forced.texts("plan/power_down_policy/*") == ["true", "request", "10", "request"]
    running = make_operation(vm, Action.REBOOT)
    assert wire.act(vm, "stop", query="?dry_run=true").ref("supersedes") == str(running.pk)
    refused = wire.act(vm, "reboot", query="?dry_run=true")
    assert (refused.status, refused.ref("job")) == (409, str(running.pk))
    assert wire.act(vm, "shutdown", query="?dry_run=true&graceful_delay=0&force=false").status in (400, 409)


# By what it is found.


@pytest.mark.behaviour(32)
@pytest.mark.parametrize(
    ("header", "query", "body", "kept"),
    [
        ("from-header_1", "?correlation_id=from-query", "from-body", "from-header_1"),
        ("", "?correlation_id=from-query", "from-body", "from-query"),
        ("", "", "from-body", "from-body"),
        ("a b/c\u00e4!d" * 20, "", "", ("abcd" * 20)[:36]),
    ],
)
def test_the_id_that_a_client_chose_is_kept_and_told(
    operator: User, vm: VirtualMachine, header: str, query: str, body: str, kept: str
) -> None:
    headers = {"Correlation-Id": header} if header else {}
    sent = f"<action><correlation_id>{body}</correlation_id></action>" if body else "<action/>"
    answer = Wire(operator).act(vm, "reboot", sent, query, **headers)
    operation = Operation.objects.get()
    assert (operation.correlation_id, answer.headers["Correlation-Id"]) == (kept, kept)
    assert set(operation.events.values_list("correlation_id", flat=True)) == {kept}


def test_who_chooses_none_is_told_the_one_that_was_made(operator: User, vm: VirtualMachine) -> None:
    wire = Wire(operator)
    made = wire.act(vm, "reboot").headers["Correlation-Id"]
    assert Operation.objects.get().correlation_id == made
    assert wire.get(vm).headers["Correlation-Id"] not in ("", made)


def test_a_change_is_found_by_the_id_too(admin: User, vm: VirtualMachine) -> None:
    body = "<vm><description>x</description><power_down_policy><force>true</force></power_down_policy></vm>"
    Wire(admin).put(vm, body, **{"Correlation-Id": "mine"})
    assert vm.configuration_changes.get().correlation_id == "mine"
    assert vm.events.get().correlation_id == "mine"

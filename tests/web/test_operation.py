"""`operation_list`, `operation_table`, `operation_detail`, `operation_progress`."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn, MakeOperation, MakeVm
from vms.domain.observation import Proof
from vms.domain.operation import Failure, Outcome, StepKind
from vms.domain.power import Action, VmStatus
from vms.domain.run_options import RunOptions
from vms.engine.records import Code, record
from vms.hypervisor import png
from vms.models import Operation, OperationScreen, VirtualMachine

LIST, TABLE = reverse("operation_list"), reverse("operation_table")


def ids(response: Any) -> set[uuid.UUID]:
    """Return which operations are shown."""
    return {operation.pk for operation in response.context["page_obj"]}


def test_the_list_can_be_narrowed_by_outcome_and_vm(
    log_in: LogIn, viewer: User, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    one, two = make_vm("one"), make_vm("two", VmStatus.REBOOT_IN_PROGRESS)
    gave_up, failed = make_operation(one, outcome=Outcome.GAVE_UP), make_operation(one, outcome=Outcome.FAILED)
    running = make_operation(two)
    client = log_in(viewer)
    assert ids(client.get(LIST)) == {gave_up.pk, failed.pk, running.pk}
    assert ids(client.get(LIST, {"outcome": "gave_up"})) == {gave_up.pk}
    assert ids(client.get(LIST, {"outcome": "running"})) == {running.pk}
    assert ids(client.get(TABLE, {"vm": str(one.pk)})) == {gave_up.pk, failed.pk}
    assert "No operation matches" in client.get(LIST, {"vm": str(two.pk), "outcome": "failed"}).content.decode()
    assert client.get(LIST, {"vm": "nonsense"}).status_code == 400


def test_an_empty_list_says_what_would_be_in_it(log_in: LogIn, viewer: User) -> None:
    assert "No operation yet" in log_in(viewer).get(LIST).content.decode()


def test_the_page_tells_everything_about_a_failed_operation(
    log_in: LogIn, viewer: User, vm: VirtualMachine, make_operation: MakeOperation
) -> None:
    operation = make_operation(
        vm,
        Action.REBOOT,
        outcome=Outcome.FAILED,
        failure=Failure.START_FAILED,
        failure_detail="no such image",
        reason="new kernel",
        requested_force=True,
        force=True,
        force_origin="request",
    )
    operation.went_down_at = operation.created_at + timedelta(seconds=4)
    operation.save()
    for number, (kind, ok) in enumerate(((StepKind.ASK_AGENT, True), (StepKind.START, False)), start=1):
        at = operation.created_at + timedelta(seconds=number)
        operation.steps.create(
            number=number, kind=kind, at=at, answered_at=at, ok=ok, detail="" if ok else "no such image"
        )
    record(Code.VM_REBOOT_FAILED, "Reboot of web01 failed.", vm=vm, operation=operation)
    html = log_in(viewer).get(operation.get_absolute_url()).content.decode()
    for told in (
        "Reboot of web01",
        "The VM is down and the host failed to start it.",
        "no such image",
        "grace",
        "new kernel",
        "power off (this request)",
        "60 s (portal default)",
        operation.correlation_id,
        "Asked the guest agent",
        "+1.0 s",
        "Started the VM: <strong>failed</strong>",
        "+2.0 s",
        "Press the power button",
        "Reboot of web01 failed.",
        "Time to go down",
    ):
        assert told in html
    assert "data-live" not in html.split('id="operation_progress"')[1].split(">")[0]


def test_time_down_and_time_to_return_are_told(
    log_in: LogIn, viewer: User, vm: VirtualMachine, make_operation: MakeOperation
) -> None:
    operation = make_operation(vm, outcome=Outcome.CLEAN_AGENT)
    assert operation.asked_at is not None
    down = operation.asked_at + timedelta(seconds=4)
    up = down + timedelta(seconds=4.5)
    Operation.objects.filter(pk=operation.pk).update(
        went_down_at=down,
        started_at=down + timedelta(seconds=1.5),
        returned_at=up,
        ended_at=up,
        proof=Proof.AGENT,
    )
    client = log_in(viewer)
    html = client.get(operation.get_absolute_url()).content.decode()
    assert "<dt>Time to go down</dt><dd>4.0 s</dd>" in html
    assert "<dt>Time down</dt><dd>1.5 s</dd>" in html
    assert "<dt>Time to return</dt><dd>3.0 s</dd>" in html
    assert "<dt>Took in all</dt><dd>9.5 s</dd>" in html
    assert "<dt>Known to be back</dt><dd>Its guest agent is connected, <time" in html
    assert "agent connected</span>" in client.get(LIST).content.decode()


@pytest.mark.behaviour(1, 31)
def test_the_page_tells_when_a_guest_went_down_after_nobody_waited_any_more(
    log_in: LogIn, viewer: User, vm: VirtualMachine, make_operation: MakeOperation
) -> None:
    operation = make_operation(vm, outcome=Outcome.GAVE_UP)
    assert operation.asked_at is not None
    Operation.objects.filter(pk=operation.pk).update(went_down_at=operation.asked_at + timedelta(seconds=75))
    html = log_in(viewer).get(operation.get_absolute_url()).content.decode()
    assert "<dt>Time to go down</dt><dd>1:15 (after the portal had stopped waiting)</dd>" in html


@pytest.mark.behaviour(34)
def test_what_was_confirmed_is_kept_and_shown(log_in: LogIn, operator: User, vm: VirtualMachine) -> None:
    client = log_in(operator)
    client.post(reverse("vm_action", args=[Action.REBOOT]), {"vm": str(vm.pk), "reason": "new kernel"})
    operation = Operation.objects.get(vm=vm)
    VirtualMachine.objects.filter(pk=vm.pk).update(name="renamed", running_since=None, status=VmStatus.DOWN)
    html = client.get(operation.get_absolute_url()).content.decode()
    confirmed = " ".join(html.split('id="operation_plan_title"')[1].split("</section>")[0].split())
    assert "<b>web01</b> on kvm1, Up for 12 d" in confirmed
    assert "Ask the guest agent" in confirmed
    assert "not powered off" in confirmed


# `operation_screen`


def screen_of(operation: Operation) -> str:
    """Return the address of an operation's picture."""
    return reverse("operation_screen", args=[operation.pk])


@pytest.fixture
def pictured(vm: VirtualMachine, make_operation: MakeOperation) -> Operation:
    """An operation that powered its VM off, with the picture taken before."""
    operation = make_operation(vm, outcome=Outcome.FORCED)
    picture = png.write(2, 1, b"\0\0\0\xff\xff\xff")
    OperationScreen.objects.create(
        operation=operation, taken_at=operation.created_at, width=2, height=1, size=len(picture), png=picture
    )
    return operation


@pytest.mark.behaviour(31)
def test_the_screen_before_a_power_off_is_shown_and_is_a_picture_and_nothing_else(
    log_in: LogIn, viewer: User, pictured: Operation
) -> None:
    client = log_in(viewer)
    html = client.get(pictured.get_absolute_url()).content.decode()
    assert "Screen just before the power-off" in html
    assert f'<img src="{screen_of(pictured)}" width="2" height="1"' in html
    assert 'alt="Screen of web01 at ' in html
    response = client.get(screen_of(pictured))
    assert response.content == bytes(pictured.screen.png)
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Disposition"].startswith("inline; filename=")
    assert set(response.headers["Cache-Control"].split(", ")) == {"private", "max-age=86400", "immutable"}


@pytest.mark.behaviour(31)
def test_a_screen_needs_the_permission_of_its_page_and_to_be_there(
    client: Client, log_in: LogIn, viewer: User, outsider: User, pictured: Operation, make_operation: MakeOperation
) -> None:
    url = screen_of(pictured)
    assert client.get(url).headers["Location"].startswith(reverse("login"))
    assert "Cache-Control" not in client.get(url).headers
    assert log_in(outsider).get(url).status_code == 403
    assert log_in(viewer).post(url).status_code == 405
    bare = make_operation(pictured.vm, outcome=Outcome.CLEAN_AGENT)
    assert log_in(viewer).get(screen_of(bare)).status_code == 404
    assert log_in(viewer).get(reverse("operation_screen", args=[uuid.uuid4()])).status_code == 404
    assert "Screen just before" not in log_in(viewer).get(bare.get_absolute_url()).content.decode()


@pytest.mark.behaviour(31)
def test_the_page_does_not_read_the_picture_itself(
    log_in: LogIn, viewer: User, pictured: Operation, django_assert_num_queries: Any
) -> None:
    client = log_in(viewer)
    with django_assert_num_queries(6) as queries:
        client.get(pictured.get_absolute_url())
    assert not any('"vms_operationscreen"."png"' in query["sql"] for query in queries.captured_queries)


def test_a_running_operation_keeps_itself_fresh(
    log_in: LogIn, operator: User, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    operation = make_operation(make_vm("db01", VmStatus.REBOOT_IN_PROGRESS))
    client, url = log_in(operator), reverse("operation_progress", args=[operation.pk])
    page = client.get(operation.get_absolute_url()).content.decode()
    assert f'id="operation_progress" data-live="{url}"' in page
    fragment = client.get(url).content.decode().strip()
    assert fragment.startswith('<div class="portal-sections" id="operation_progress"')
    assert "Extend +60 s" in fragment


def test_an_outsider_is_forbidden(
    log_in: LogIn, outsider: User, vm: VirtualMachine, make_operation: MakeOperation
) -> None:
    operation = make_operation(vm, outcome=Outcome.DONE)
    client = log_in(outsider)
    for url in (LIST, TABLE, operation.get_absolute_url(), reverse("operation_progress", args=[operation.pk])):
        assert client.get(url).status_code == 403


def test_nobody_is_sent_to_the_login_page(client: Client, db: None) -> None:
    for url in (LIST, reverse("operation_detail", args=[uuid.uuid4()])):
        assert client.get(url).headers["Location"].startswith(reverse("login"))


def test_an_operation_that_is_not_there_is_not_found(log_in: LogIn, viewer: User) -> None:
    for name in ("operation_detail", "operation_progress"):
        assert log_in(viewer).get(reverse(name, args=[uuid.uuid4()])).status_code == 404


def test_a_page_of_operations_costs_a_constant_number_of_queries(
    log_in: LogIn, viewer: User, vm: VirtualMachine, make_operation: MakeOperation, django_assert_num_queries: Any
) -> None:
    client, made = log_in(viewer), 0
    for count in (5, 60):
        for _ in range(made, count):
            operation = make_operation(vm, outcome=Outcome.DONE)
            operation.steps.create(number=1, kind=StepKind.START, at=operation.created_at)
        made = count
        with django_assert_num_queries(5):
            client.get(LIST)
    with django_assert_num_queries(6):
        client.get(operation.get_absolute_url())


@pytest.mark.behaviour(34)
def test_the_plan_tells_what_was_confirmed_besides_the_ladder(
    log_in: LogIn, viewer: User, vm: VirtualMachine, make_operation: MakeOperation
) -> None:
    policy = {"force": True, "delay": 60, "force_origin": "pending_changes", "delay_origin": "default"}
    plan = {
        "action": "reboot",
        "policy": policy,
        "steps": [{"kind": "power_off", "after": 60}, {"kind": "start", "after": None}],
        "consequences": ["applies_changes", "loses_disk_writes"],
        "changes": [{"part": "boot", "now": ["hd"], "next": ["cdrom", "hd"]}],
    }
    options = RunOptions(memory=2 << 30, paused=True, stateless=True).as_json()
    operation = make_operation(vm, plan=plan, options=options, force_origin="pending_changes")
    html = log_in(viewer).get(operation.get_absolute_url()).content.decode()
    for told in (
        "because changes must be applied",
        "The changes that wait are applied.",
        "everything it has written to its disks is lost",
        "Boot order",
        "CD, Hard disk",
        "Memory: 2 GiB",
        "Starts paused",
        "Stateless",
    ):
        assert told in html

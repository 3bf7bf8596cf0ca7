"""`operation_list`, `operation_table`, `operation_detail`, `operation_progress`."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn, MakeOperation, MakeVm
from vms.domain.operation import Failure, Outcome, StepKind
from vms.domain.power import Action, VmStatus
from vms.engine.records import Code, record
from vms.models import Operation, VirtualMachine

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
    down = operation.created_at + timedelta(seconds=4)
    Operation.objects.filter(pk=operation.pk).update(went_down_at=down, ended_at=down + timedelta(seconds=3))
    operation.steps.create(number=1, kind=StepKind.STARTED, at=down + timedelta(seconds=1.5), answered_at=down, ok=True)
    html = log_in(viewer).get(operation.get_absolute_url()).content.decode()
    assert "<dt>Time to go down</dt><dd>4.0 s</dd>" in html
    assert "<dt>Time down</dt><dd>1.5 s</dd>" in html
    assert "<dt>Time to return</dt><dd>3.0 s</dd>" in html
    assert "<dt>Took in all</dt><dd>7.0 s</dd>" in html


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
        with django_assert_num_queries(6):
            client.get(LIST)
    with django_assert_num_queries(7):
        client.get(operation.get_absolute_url())

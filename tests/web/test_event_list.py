"""`event_list` and `event_table`: what happened, newest first."""

from __future__ import annotations

import csv
import io
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn, MakeOperation, MakeVm
from vms.domain.operation import Outcome
from vms.engine.records import Code, record
from vms.models import Event, VirtualMachine

LIST, TABLE, CSV = reverse("event_list"), reverse("event_table"), reverse("event_csv")


def told(response: Any) -> list[str]:
    """Return the messages shown, top to bottom."""
    return [event.message for event in response.context["page_obj"]]


def test_events_can_be_narrowed_by_severity_vm_and_correlation_id(
    log_in: LogIn, viewer: User, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    one, two = make_vm("one"), make_vm("two")
    operation = make_operation(one, outcome=Outcome.GAVE_UP)
    record(Code.ACCEPTED, "first", vm=one, operation=operation)
    record(Code.VM_GONE, "second", vm=two, severity=Event.Severity.WARNING)
    record(Code.HOST_FAILURE, "third", severity=Event.Severity.ERROR)
    client = log_in(viewer)
    assert told(client.get(LIST)) == ["third", "second", "first"]
    assert told(client.get(LIST, {"severity": "warning"})) == ["second"]
    assert told(client.get(TABLE, {"vm": str(one.pk)})) == ["first"]
    assert told(client.get(LIST, {"correlation_id": operation.correlation_id})) == ["first"]
    assert "No event matches" in client.get(LIST, {"correlation_id": "unheard of"}).content.decode()
    assert client.get(LIST, {"vm": "nonsense"}).status_code == 400


def test_events_can_be_narrowed_by_actor(log_in: LogIn, viewer: User, operator: User) -> None:
    record(Code.DEFAULTS_CHANGED, "by hand", actor=operator)
    record(Code.HOST_FAILURE, "by itself")
    client = log_in(viewer)
    assert told(client.get(LIST, {"actor": operator.username.upper()})) == ["by hand"]


def test_all_that_the_filter_finds_can_be_saved_for_a_spreadsheet(log_in: LogIn, viewer: User, make_vm: MakeVm) -> None:
    vm = make_vm("zürich")
    for number in range(60):
        record(Code.ACCEPTED, f'event {number}, "quoted"', vm=vm)
    record(Code.VM_GONE, "=HYPERLINK(1)", severity=Event.Severity.WARNING)
    client = log_in(viewer)
    answer = client.get(CSV, {"vm": str(vm.pk), "page": "2"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="events-')
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["message"] for row in rows] == [f'event {number}, "quoted"' for number in reversed(range(60))]
    assert {row["vm"] for row in rows} == {"zürich"}
    (formula,) = csv.DictReader(io.StringIO(client.get(CSV, {"severity": "warning"}).content.decode("utf-8-sig")))
    assert formula["message"] == "'=HYPERLINK(1)"


def test_messages_are_text_not_markup(log_in: LogIn, viewer: User, make_vm: MakeVm) -> None:
    record(Code.VM_DISCOVERED, "<script>alert(1)</script>", vm=make_vm("<b>bold</b>"))
    html = log_in(viewer).get(LIST).content.decode()
    assert "<script>alert" not in html
    assert "<b>bold" not in html


def test_a_portal_where_nothing_happened_says_so(log_in: LogIn, viewer: User) -> None:
    assert "Nothing has happened yet" in log_in(viewer).get(LIST).content.decode()


def test_an_outsider_is_forbidden(log_in: LogIn, outsider: User) -> None:
    client = log_in(outsider)
    assert [client.get(url).status_code for url in (LIST, TABLE, CSV)] == [403, 403, 403]


def test_nobody_is_sent_to_the_login_page(client: Client, db: None) -> None:
    assert client.get(LIST).headers["Location"].startswith(reverse("login"))


def test_a_page_of_events_costs_a_constant_number_of_queries(
    log_in: LogIn, viewer: User, vm: VirtualMachine, make_operation: MakeOperation, django_assert_num_queries: Any
) -> None:
    client, made = log_in(viewer), 0
    for count in (5, 60):
        for _ in range(made, count):
            record(Code.ACCEPTED, "x", vm=vm, operation=make_operation(vm, outcome=Outcome.DONE))
        made = count
        with django_assert_num_queries(5):
            client.get(LIST)

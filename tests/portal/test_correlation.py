"""The id of a request: taken from outside only where it is well formed, told in the answer, and on every log line."""

from __future__ import annotations

import re
import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_structlog.celery.signals import modify_context_before_task_publish
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.testing import capture_logs

from vms.engine.records import Code
from vms.models import Event

pytestmark = pytest.mark.behaviour(32)


def answered(client: Client, given: str | None = None) -> str:
    """Ask for a page and return the id that the answer names."""
    headers = {} if given is None else {"X-Request-ID": given}
    return client.get("/healthz", headers=headers).headers["X-Request-ID"]


def test_a_request_without_an_id_is_given_one_of_its_own(client: Client) -> None:
    first, second = answered(client), answered(client)
    assert uuid.UUID(first) != uuid.UUID(second)


@pytest.mark.parametrize("given", ["a", "deploy-2030_01", "f" * 36, "0b4e0aaa-3f53-47ab-9829-f6dc179e9a11"])
def test_a_well_formed_id_is_taken(client: Client, given: str) -> None:
    assert answered(client, given) == given


@pytest.mark.parametrize("given", ["", " ", "f" * 37, "a b", "a\tb", "ä", '"}{"', "a;b", "../a"])
def test_any_other_is_replaced(client: Client, given: str) -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}", answered(client, given))


def test_its_log_lines_carry_it_and_nothing_is_left_for_the_next_request(client: Client) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        answered(client, "follow-me")
    assert {(line["request_id"], line["correlation_id"]) for line in lines} == {("follow-me", "follow-me")}
    assert "request_id" not in get_contextvars()


def test_an_event_without_an_operation_carries_its_requests_id(client: Client, db: None) -> None:
    User.objects.create_user("vera", password="a password")
    client.post("/login/", {"username": "vera", "password": "a password"}, headers={"X-Request-ID": "logging-in"})
    assert Event.objects.get(code=Code.USER_LOGGED_IN).correlation_id == "logging-in"


def test_a_task_is_not_told_which_operation_its_sender_worked_on() -> None:
    context = {"request_id": "r", "correlation_id": "c", "operation": "o", "vm": "v"}
    modify_context_before_task_publish.send(sender=None, context=context)
    assert context == {"request_id": "r"}

"""`operation_force_now`, `operation_extend`, `operation_cancel`: what a person can do to an operation that waits."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.support.scene import LogIn, MakeOperation, MakeVm
from vms.domain.operation import Outcome
from vms.domain.power import VmStatus
from vms.models import Event, Operation

NAMES = ("operation_force_now", "operation_extend", "operation_cancel")


@pytest.fixture
def waiting(make_vm: MakeVm, make_operation: MakeOperation) -> Operation:
    """A reboot that waits for its guest."""
    return make_operation(make_vm("db01", VmStatus.REBOOT_IN_PROGRESS))


def post(client: Client, name: str, operation: Operation) -> Any:
    """Press a button of an operation."""
    return client.post(reverse(name, args=[operation.pk]))


def test_force_now_ends_the_delay(
    log_in: LogIn, operator: User, waiting: Operation, woken: list[UUID], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = post(log_in(operator, htmx=True), "operation_force_now", waiting)
    assert response.status_code == 204
    assert json.loads(response.headers["HX-Trigger"]).keys() == {"portal:toast", "portal:refresh"}
    waiting.refresh_from_db()
    assert waiting.force is True
    assert waiting.deadline_at is not None
    assert waiting.deadline_at <= timezone.now()
    assert woken == [waiting.vm_id]
    assert Event.objects.get().actor == operator


def test_extend_gives_sixty_seconds_more(log_in: LogIn, operator: User, waiting: Operation) -> None:
    deadline = waiting.deadline_at
    assert deadline is not None
    assert post(log_in(operator, htmx=True), "operation_extend", waiting).status_code == 204
    waiting.refresh_from_db()
    assert waiting.deadline_at == deadline + timedelta(seconds=60)


def test_cancel_asks_the_operation_to_stop_waiting(log_in: LogIn, operator: User, waiting: Operation) -> None:
    response = post(log_in(operator), "operation_cancel", waiting)
    assert response.headers["Location"] == waiting.get_absolute_url()
    waiting.refresh_from_db()
    assert waiting.cancel_requested


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_that_has_ended_is_refused_with_a_link_to_it(
    log_in: LogIn, operator: User, make_vm: MakeVm, make_operation: MakeOperation, name: str
) -> None:
    ended = make_operation(make_vm(), outcome=Outcome.GAVE_UP)
    response = post(log_in(operator, htmx=True), name, ended)
    assert response.status_code == 409
    html = response.content.decode()
    assert "no longer waits for its guest" in html
    assert ended.get_absolute_url() in html


@pytest.mark.parametrize("name", NAMES)
def test_a_viewer_is_forbidden_and_not_offered_it(log_in: LogIn, viewer: User, waiting: Operation, name: str) -> None:
    client = log_in(viewer)
    assert post(client, name, waiting).status_code == 403
    version = waiting.version
    waiting.refresh_from_db()
    assert waiting.version == version
    url = reverse(name, args=[waiting.pk])
    for page in (reverse("vm_list"), waiting.get_absolute_url()):
        assert url not in client.get(page).content.decode()


def test_who_may_reboot_and_not_power_cycle_cannot_force(log_in: LogIn, operator: User, waiting: Operation) -> None:
    group = Group.objects.get(name="Operator")
    group.permissions.remove(group.permissions.get(codename="power_cycle_vm"))
    client = log_in(operator)
    assert post(client, "operation_force_now", waiting).status_code == 403
    html = client.get(waiting.get_absolute_url()).content.decode()
    assert "Force now" not in html
    assert "Extend +60 s" in html


@pytest.mark.parametrize("name", NAMES)
def test_looking_is_not_possible(log_in: LogIn, operator: User, waiting: Operation, name: str) -> None:
    assert log_in(operator).get(reverse(name, args=[waiting.pk])).status_code == 405
    assert not Event.objects.exists()


@pytest.mark.parametrize("name", NAMES)
def test_nobody_is_sent_to_the_login_page(client: Client, waiting: Operation, name: str) -> None:
    assert post(client, name, waiting).headers["Location"].startswith(reverse("login"))


@pytest.mark.parametrize("name", NAMES)
def test_a_post_without_its_csrf_token_is_refused(log_in: LogIn, operator: User, waiting: Operation, name: str) -> None:
    assert post(log_in(operator, enforce_csrf_checks=True), name, waiting).status_code == 403
    assert not Event.objects.exists()


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_that_is_not_there_is_not_found(log_in: LogIn, operator: User, name: str) -> None:
    assert log_in(operator).post(reverse(name, args=[uuid.uuid4()])).status_code == 404

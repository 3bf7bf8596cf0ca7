"""`bulk_detail`, `bulk_progress`, `bulk_cancel`: a request for several VMs, from its confirmation to its end."""

from __future__ import annotations

import json
import uuid
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.support.scene import LogIn, MakeVm
from vms.domain.operation import Failure, Outcome, Stage
from vms.domain.power import Action, VmStatus
from vms.models import Bulk, Operation, PortalDefaults, VirtualMachine

REBOOT = reverse("vm_action", args=[Action.REBOOT])


@pytest.fixture(autouse=True)
def _two_at_a_time(db: None) -> None:
    PortalDefaults.objects.create(id=1, bulk_in_flight=2)


@pytest.fixture
def vms(make_vm: MakeVm) -> list[VirtualMachine]:
    """Five VMs that are Up, in the order of the list."""
    return [make_vm(f"vm{number}") for number in range(5)]


def ids(vms: list[VirtualMachine]) -> dict[str, list[str]]:
    """Return what is sent for some VMs."""
    return {"vm": [str(vm.pk) for vm in vms]}


@pytest.fixture
def bulk(log_in: LogIn, operator: User, vms: list[VirtualMachine]) -> Bulk:
    """A reboot of five, two at a time."""
    assert log_in(operator).post(REBOOT, ids(vms) | {"reason": "new kernel"}).status_code == 302
    return Bulk.objects.get()


def end(bulk: Bulk, position: int, outcome: Outcome, **fields: Any) -> None:
    """End one of its operations."""
    ending = {"stage": Stage.ENDED, "outcome": outcome, "ended_at": timezone.now()}
    Operation.objects.filter(bulk=bulk, bulk_position=position).update(**ending, **fields)


@pytest.mark.behaviour(33, 34)
def test_the_confirmation_says_how_many_at_once_and_that_the_rest_queue(
    log_in: LogIn, operator: User, vms: list[VirtualMachine]
) -> None:
    client = log_in(operator, htmx=True)
    html = client.get(REBOOT, ids(vms)).content.decode()
    assert "At most <b>2 at a time</b>. The other 3 queue, in this order" in html
    html = client.get(REBOOT, ids(vms[:3])).content.decode()
    assert "At most <b>2 at a time</b>. The other one queues" in html
    assert 'id="vm_action_queue"' not in client.get(REBOOT, ids(vms[:2])).content.decode()


@pytest.mark.behaviour(24, 33)
def test_those_that_queue_keep_their_status_and_say_so_with_a_cancel_button(
    log_in: LogIn, operator: User, vms: list[VirtualMachine], woken: list[UUID], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = log_in(operator, htmx=True).post(REBOOT, ids(vms))
    assert response.status_code == 200
    said = json.loads(response.headers["HX-Trigger"])["portal:toast"]["message"]
    assert said == "Reboot of 5 virtual machines was accepted. 3 of them queue: at most 2 are worked on at a time."
    assert woken == [vm.pk for vm in vms[:2]]
    html = response.content.decode()
    assert html.count("Reboot: queued") == 3
    shown = [VirtualMachine.objects.get(pk=vm.pk).status for vm in vms]
    assert shown == [VmStatus.REBOOT_IN_PROGRESS] * 2 + [VmStatus.UP] * 3
    for operation in Operation.objects.queued():
        assert f'hx-post="{reverse("operation_cancel", args=[operation.pk])}"' in html
        assert f'aria-label="Cancel the queued Reboot of {operation.vm.name}"' in html
    for operation in Operation.objects.in_flight():
        assert f'hx-post="{reverse("operation_cancel", args=[operation.pk])}"' not in html


@pytest.mark.behaviour(33)
def test_the_page_tells_what_became_of_each_in_the_order_of_the_list(
    log_in: LogIn, viewer: User, make_vm: MakeVm, operator: User, vms: list[VirtualMachine]
) -> None:
    down = make_vm("vm9", VmStatus.DOWN)
    response = log_in(operator).post(REBOOT, ids([*vms, down]))
    html = response.content.decode()
    assert "Reboot: 5 of 6 accepted" in html
    assert "3 of them queue: at most 2 are worked on at a time." in html
    bulk = Bulk.objects.get()
    assert bulk.get_absolute_url() in html
    end(bulk, 1, Outcome.CLEAN_AGENT)
    end(bulk, 2, Outcome.FAILED, failure=Failure.START_FAILED)
    response = log_in(viewer).get(bulk.get_absolute_url())
    assert [operation.vm for operation in response.context["page_obj"]] == vms
    html = " ".join(response.content.decode().split())
    for told in (
        "Reboot of 6 virtual machines",
        "2 of 5 ended, 3 queued",
        "at most 2",
        "oskar",
        "<dt>Clean, by the guest agent</dt><dd>1</dd>",
        "<dt>Failed</dt><dd>1</dd>",
        "The VM is down and the host failed to start it.",
        "1 was left alone",
        "Cannot reboot vm9 because it is Down.",
        bulk.correlation_id,
        f'data-live="{reverse("bulk_progress", args=[bulk.pk])}"',
    ):
        assert told in html
    assert "Cancel the" not in html  # a viewer
    assert "not taken in" not in html


def test_it_keeps_itself_fresh_until_all_have_ended(log_in: LogIn, operator: User, bulk: Bulk) -> None:
    client, url = log_in(operator), reverse("bulk_progress", args=[bulk.pk])
    fragment = client.get(url).content.decode().strip()
    assert fragment.startswith('<div class="portal-sections" id="bulk_progress" data-live=')
    assert "0 of 5 ended, 2 in flight, 3 queued" in fragment
    assert "Cancel the 3 that queue" in fragment
    for position in range(1, 6):
        end(bulk, position, Outcome.DONE)
    fragment = client.get(url).content.decode().strip()
    assert "data-live" not in fragment
    assert "5 of 5 ended" in fragment
    assert "Cancel the" not in fragment


def test_what_an_interrupted_request_never_got_to_is_told(log_in: LogIn, operator: User, bulk: Bulk) -> None:
    Bulk.objects.update(asked_for=7)
    assert "2 more were asked for and not taken in" in log_in(operator).get(bulk.get_absolute_url()).content.decode()


def test_the_strip_and_the_page_of_an_operation_lead_to_it(log_in: LogIn, operator: User, bulk: Bulk) -> None:
    client = log_in(operator)
    board = client.get(reverse("vm_board")).content.decode()
    strip = board.split('id="operation_strip"')[1]
    assert bulk.get_absolute_url() in strip
    assert "0 of 5 ended, 2 in flight, 3 queued" in strip
    assert "2 operations running" in strip
    assert reverse("bulk_cancel", args=[bulk.pk]) in strip
    queued = Operation.objects.queued()[0]
    page = client.get(queued.get_absolute_url()).content.decode()
    assert bulk.get_absolute_url() in page
    assert "Queued until others of the same request have ended" in page
    assert reverse("operation_cancel", args=[queued.pk]) in page
    assert reverse("operation_force_now", args=[queued.pk]) not in page
    assert reverse("operation_extend", args=[queued.pk]) not in page


@pytest.mark.behaviour(22, 33)
def test_a_queued_reboot_is_in_the_way_of_another_with_a_link_to_it(
    log_in: LogIn, operator: User, bulk: Bulk, vms: list[VirtualMachine]
) -> None:
    response = log_in(operator, htmx=True).post(REBOOT, {"vm": str(vms[4].pk)})
    assert response.status_code == 409
    html = response.content.decode()
    assert "a reboot asked for by oskar is queued for it" in html
    assert Operation.objects.get(vm=vms[4]).get_absolute_url() in html


@pytest.mark.behaviour(33)
def test_one_is_taken_off_the_queue(log_in: LogIn, operator: User, bulk: Bulk) -> None:
    queued = Operation.objects.queued()[0]
    response = log_in(operator, htmx=True).post(reverse("operation_cancel", args=[queued.pk]))
    assert response.status_code == 204
    message = json.loads(response.headers["HX-Trigger"])["portal:toast"]["message"]
    assert message == f"{queued.vm.name} was taken off the queue. Nothing was asked of its guest."
    queued.refresh_from_db()
    assert (queued.outcome, queued.left_queue_at) == (Outcome.CANCELLED, None)
    page = log_in(operator).get(queued.get_absolute_url()).content.decode()
    assert "It was cancelled while it queued. Nothing was asked of the guest." in page


@pytest.mark.behaviour(33)
def test_all_that_queue_are_taken_off_it(log_in: LogIn, operator: User, bulk: Bulk) -> None:
    url = reverse("bulk_cancel", args=[bulk.pk])
    response = log_in(operator).post(url, follow=True)
    assert response.redirect_chain == [(bulk.get_absolute_url(), 302)]
    assert "3 virtual machines were taken off the queue." in response.content.decode()
    assert Operation.objects.in_flight().count() == 2
    assert Operation.objects.filter(outcome=Outcome.CANCELLED).count() == 3
    response = log_in(operator, htmx=True).post(url)
    assert json.loads(response.headers["HX-Trigger"])["portal:toast"]["message"] == "None of them queues any more."


def test_a_viewer_may_look_and_not_cancel(log_in: LogIn, viewer: User, bulk: Bulk) -> None:
    client = log_in(viewer)
    assert client.get(bulk.get_absolute_url()).status_code == 200
    assert client.post(reverse("bulk_cancel", args=[bulk.pk])).status_code == 403
    board = client.get(reverse("vm_board")).content.decode()
    assert "Reboot: queued" in board
    assert "Cancel" not in board
    assert Operation.objects.queued().count() == 3


def test_others_see_nothing_of_it(log_in: LogIn, outsider: User, client: Client, bulk: Bulk) -> None:
    for name in ("bulk_detail", "bulk_progress"):
        url = reverse(name, args=[bulk.pk])
        assert log_in(outsider).get(url).status_code == 403
        assert client.get(url).headers["Location"].startswith(reverse("login"))
    url = reverse("bulk_cancel", args=[bulk.pk])
    assert log_in(outsider).post(url).status_code == 403
    assert client.post(url).headers["Location"].startswith(reverse("login"))
    assert Operation.objects.queued().count() == 3


def test_only_a_post_with_its_token_cancels(log_in: LogIn, operator: User, bulk: Bulk) -> None:
    url = reverse("bulk_cancel", args=[bulk.pk])
    assert log_in(operator).get(url).status_code == 405
    assert log_in(operator, enforce_csrf_checks=True).post(url).status_code == 403
    assert Operation.objects.queued().count() == 3


def test_a_bulk_that_is_not_there_is_not_found(log_in: LogIn, operator: User) -> None:
    client, missing = log_in(operator), [uuid.uuid4()]
    for name in ("bulk_detail", "bulk_progress"):
        assert client.get(reverse(name, args=missing)).status_code == 404
    assert client.post(reverse("bulk_cancel", args=missing)).status_code == 404


def test_more_than_five_hundred_at_once_are_refused(log_in: LogIn, operator: User) -> None:
    sent = {"vm": [str(uuid.uuid4()) for _ in range(501)]}
    assert log_in(operator).post(REBOOT, sent).status_code == 400


def test_the_page_costs_as_many_queries_for_five_as_for_a_hundred(
    log_in: LogIn, operator: User, make_vm: MakeVm, django_assert_num_queries: Any
) -> None:
    client = log_in(operator)
    for count in (5, 100):
        client.post(REBOOT, ids([make_vm(f"{count}-{number}") for number in range(count)]))
        bulk = Bulk.objects.latest("created_at")
        with django_assert_num_queries(8):
            client.get(bulk.get_absolute_url())

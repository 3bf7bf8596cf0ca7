"""`vm_action`: the confirmation of a power action, and its doing."""

from __future__ import annotations

import json
import uuid
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn, MakeOperation, MakeVm, pending
from vms.domain.operation import Stage
from vms.domain.power import Action, VmStatus
from vms.models import Event, Operation, VirtualMachine

REBOOT = reverse("vm_action", args=[Action.REBOOT])
POWER_OFF = reverse("vm_action", args=[Action.POWER_OFF])
RUN = reverse("vm_action", args=[Action.RUN])


def triggers(response: Any) -> dict[str, Any]:
    """Return what an answer tells the page's scripts."""
    said: dict[str, Any] = json.loads(response.headers.get("HX-Trigger", "{}"))
    return said


def test_an_operators_reboot_is_accepted_and_its_row_says_rebooting(
    log_in: LogIn, operator: User, vm: VirtualMachine, woken: list[UUID], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = log_in(operator, htmx=True).post(REBOOT, {"vm": str(vm.pk), "reason": "new kernel"})
    assert response.status_code == 200
    operation = Operation.objects.get()
    assert (operation.action, operation.actor_name, operation.reason) == (Action.REBOOT, "oskar", "new kernel")
    html = response.content.decode()
    assert f'id="vm_row_{vm.pk}"' in html
    assert "Rebooting" in html
    assert 'hx-swap-oob="morph"' in html
    assert triggers(response)["portal:toast"]["message"] == "Reboot of web01 was accepted."
    assert {"portal:close-dialog", "portal:refresh"} <= triggers(response).keys()
    assert woken == [vm.pk]


@pytest.mark.parametrize(
    ("action", "status", "shown"),
    [
        (Action.RUN, VmStatus.DOWN, VmStatus.WAIT_FOR_LAUNCH),
        (Action.SHUT_DOWN, VmStatus.UP, VmStatus.POWERING_DOWN),
        (Action.POWER_OFF, VmStatus.UP, VmStatus.POWERING_DOWN),
        (Action.REBOOT, VmStatus.UP, VmStatus.REBOOT_IN_PROGRESS),
        (Action.POWER_CYCLE, VmStatus.UP, VmStatus.REBOOT_IN_PROGRESS),
        (Action.SUSPEND, VmStatus.UP, VmStatus.SAVING_STATE),
        (Action.RESUME, VmStatus.PAUSED, VmStatus.RESTORING_STATE),
    ],
)
def test_every_action_can_be_confirmed_and_done(
    log_in: LogIn, operator: User, make_vm: MakeVm, action: Action, status: VmStatus, shown: VmStatus
) -> None:
    vm = make_vm(status=status)
    client, url = log_in(operator), reverse("vm_action", args=[action])
    assert client.get(url, {"vm": str(vm.pk)}).status_code == 200
    response = client.post(url, {"vm": str(vm.pk)}, follow=True)
    assert response.redirect_chain == [("/", 302)]
    vm.refresh_from_db()
    assert (Operation.objects.get().action, vm.status) == (action, shown)
    assert "web01 was accepted" in response.content.decode()


@pytest.mark.parametrize("action", [action for action in Action if action is not Action.RUN_ONCE])
def test_looking_changes_nothing(log_in: LogIn, admin: User, make_vm: MakeVm, action: Action) -> None:
    vms = [make_vm(status.value, status) for status in VmStatus]
    client = log_in(admin)
    for name in ("vm_action", "vm_action_plan"):
        response = client.get(reverse(name, args=[action]), {"vm": [str(vm.pk) for vm in vms]})
        assert response.status_code == 200
    assert Operation.objects.count() == Event.objects.count() == 0
    assert [(vm.pk, vm.status) for vm in vms] == [(vm.pk, VirtualMachine.objects.get(pk=vm.pk).status) for vm in vms]


@pytest.mark.behaviour(34)
def test_the_confirmation_tells_the_ladder_and_where_the_policy_comes_from(
    log_in: LogIn, operator: User, make_vm: MakeVm
) -> None:
    vm = make_vm(graceful_delay=30)
    html = log_in(operator, htmx=True).get(REBOOT, {"vm": str(vm.pk)}).content.decode()
    for told in ("Reboot web01?", "12 d", "Ask the guest agent", "after 0:15", "after 0:30", "Give up", "once down"):
        assert told in html
    assert "<b>30 s</b> (this VM)" in html
    assert "<b>not powered off</b> if the guest does not shut down in time (portal default)" in html


@pytest.mark.parametrize("override", [{"force": "yes"}, {"force": "yes", "graceful_delay": "0"}])
def test_an_override_changes_the_plan_that_is_shown_and_the_button(
    log_in: LogIn, operator: User, vm: VirtualMachine, override: dict[str, str]
) -> None:
    url = reverse("vm_action_plan", args=[Action.REBOOT])
    html = log_in(operator, htmx=True).get(url, {"vm": str(vm.pk)} | override).content.decode()
    assert "may be powered off</b> if the guest does not shut down in time (this request)" in html
    assert 'id="vm_action_confirm" hx-swap-oob="true"' in html
    assert "pf-m-danger" in html


def test_an_override_holds_for_this_operation_only(log_in: LogIn, operator: User, vm: VirtualMachine) -> None:
    log_in(operator).post(REBOOT, {"vm": str(vm.pk), "force": "yes", "graceful_delay": "7"})
    operation = Operation.objects.get()
    assert (operation.force, operation.delay, operation.force_origin) == (True, 7, "request")
    vm.refresh_from_db()
    assert (vm.force_power_off, vm.graceful_delay) == (None, None)


@pytest.mark.parametrize("delay", ["-1", "1.5", "abc", "3601", "1000000000000", "0", "²"])
def test_a_bad_delay_is_answered_at_its_field_and_kept(
    log_in: LogIn, operator: User, vm: VirtualMachine, delay: str
) -> None:
    response = log_in(operator, htmx=True).post(
        REBOOT, {"vm": str(vm.pk), "graceful_delay": delay, "reason": "because"}
    )
    assert response.status_code == 422
    form = response.context["form"]
    assert list(form.errors) == ["graceful_delay"]
    html = response.content.decode()
    assert f'value="{delay}"' in html
    assert 'value="because"' in html
    assert "data-error-summary" in html
    assert 'aria-invalid="true"' in html
    assert "<details" in html
    assert " open>" in html
    assert not Operation.objects.exists()


def test_no_wait_that_may_not_force_is_refused_at_the_force_field(
    log_in: LogIn, operator: User, make_vm: MakeVm
) -> None:
    vm = make_vm(force_power_off=True, graceful_delay=0)
    response = log_in(operator, htmx=True).post(REBOOT, {"vm": str(vm.pk), "force": "no"})
    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["force"]
    assert not Operation.objects.exists()


def test_a_reason_of_500_characters_is_kept_and_a_longer_one_refused(
    log_in: LogIn, operator: User, vm: VirtualMachine
) -> None:
    client = log_in(operator, htmx=True)
    assert client.post(REBOOT, {"vm": str(vm.pk), "reason": "x" * 501}).status_code == 422
    assert client.post(REBOOT, {"vm": str(vm.pk), "reason": "x" * 500}).status_code == 200
    assert Operation.objects.get().reason == "x" * 500


@pytest.mark.behaviour(22)
def test_the_second_of_two_reboots_is_refused_with_a_link_to_the_first(
    log_in: LogIn, operator: User, vm: VirtualMachine
) -> None:
    client = log_in(operator, htmx=True)
    assert client.post(REBOOT, {"vm": str(vm.pk)}).status_code == 200
    response = client.post(REBOOT, {"vm": str(vm.pk)})
    assert response.status_code == 409
    first = Operation.objects.get()
    html = response.content.decode()
    assert first.get_absolute_url() in html
    assert "Cannot reboot web01" in html


def test_a_wrong_status_is_refused_in_words(log_in: LogIn, operator: User, make_vm: MakeVm) -> None:
    vm = make_vm(status=VmStatus.DOWN)
    response = log_in(operator).post(REBOOT, {"vm": str(vm.pk)})
    assert response.status_code == 409
    assert "Cannot reboot web01 because it is Down." in response.content.decode()
    assert not Operation.objects.exists()


@pytest.mark.behaviour(33)
def test_of_several_vms_those_that_can_go_ahead_and_the_rest_are_named(
    log_in: LogIn, operator: User, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    up, down = make_vm("up"), make_vm("off", VmStatus.DOWN)
    busy = make_vm("busy", VmStatus.REBOOT_IN_PROGRESS)
    running = make_operation(busy)
    client, sent = log_in(operator, htmx=True), {"vm": [str(vm.pk) for vm in (up, down, busy)]}
    confirmation = client.get(REBOOT, sent).content.decode()
    assert "Reboot 3 virtual machines?" in confirmation
    assert "Cannot reboot off because it is Down." in confirmation
    assert running.get_absolute_url() in confirmation
    response = client.post(REBOOT, sent)
    assert response.status_code == 200
    html = response.content.decode()
    assert "Reboot: 1 of 3 accepted" in html
    assert "Cannot reboot off because it is Down." in html
    assert f'id="vm_row_{up.pk}"' in html
    assert Operation.objects.exclude(pk=running.pk).get().vm == up


def test_operations_of_one_request_share_a_correlation_id(log_in: LogIn, operator: User, make_vm: MakeVm) -> None:
    vms = [make_vm(name) for name in ("a", "b")]
    log_in(operator).post(REBOOT, {"vm": [str(vm.pk) for vm in vms]})
    assert Operation.objects.count() == 2
    assert len(set(Operation.objects.values_list("correlation_id", flat=True))) == 1


def test_forcing_several_vms_wants_their_number_typed(log_in: LogIn, operator: User, make_vm: MakeVm) -> None:
    sent: dict[str, Any] = {"vm": [str(make_vm("a").pk), str(make_vm("b").pk), str(make_vm("c", VmStatus.DOWN).pk)]}
    client = log_in(operator, htmx=True)
    assert "Type 2, the number of virtual machines, to confirm" in client.get(POWER_OFF, sent).content.decode()
    for wrong in ("", "3", "two"):
        assert client.post(POWER_OFF, sent | {"count": wrong}).status_code == 422
    assert not Operation.objects.exists()
    assert client.post(POWER_OFF, sent | {"count": "2"}).status_code == 200
    assert Operation.objects.count() == 2


@pytest.mark.behaviour(23)
def test_a_power_off_says_which_operation_it_ends(
    log_in: LogIn, operator: User, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    vm = make_vm(status=VmStatus.REBOOT_IN_PROGRESS)
    reboot = make_operation(vm)
    client = log_in(operator, htmx=True)
    assert "This ends the reboot that grace asked for." in client.get(POWER_OFF, {"vm": str(vm.pk)}).content.decode()
    assert client.post(POWER_OFF, {"vm": str(vm.pk)}).status_code == 200
    reboot.refresh_from_db()
    assert reboot.stage == Stage.ENDED
    assert reboot.superseded_by == Operation.objects.exclude(pk=reboot.pk).get()


def test_a_viewer_is_forbidden_to_look_and_to_act(
    log_in: LogIn, viewer: User, vm: VirtualMachine, woken: list[UUID], django_capture_on_commit_callbacks: Any
) -> None:
    client = log_in(viewer)
    with django_capture_on_commit_callbacks(execute=True):
        for action in Action:
            url = reverse("vm_action", args=[action])
            assert client.get(url, {"vm": str(vm.pk)}).status_code == 403
            assert client.post(url, {"vm": str(vm.pk)}).status_code == 403
    assert Operation.objects.count() == Event.objects.count() == len(woken) == 0


def test_nobody_is_sent_to_the_login_page(client: Client, vm: VirtualMachine) -> None:
    response = client.post(REBOOT, {"vm": str(vm.pk)})
    assert response.status_code == 302
    assert response.headers["Location"].startswith(reverse("login"))
    assert not Operation.objects.exists()


def test_a_post_without_its_csrf_token_is_refused(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    response = log_in(admin, enforce_csrf_checks=True).post(REBOOT, {"vm": str(vm.pk)})
    assert response.status_code == 403
    assert "data-message" in response.content.decode()
    assert not Operation.objects.exists()


@pytest.mark.parametrize("vms", [[], ["nonsense"], [str(uuid.UUID(int=7))]])
def test_a_request_about_no_vm_is_refused(log_in: LogIn, operator: User, vm: VirtualMachine, vms: list[str]) -> None:
    client = log_in(operator)
    assert client.get(REBOOT, {"vm": vms}).status_code == 400
    assert client.post(REBOOT, {"vm": vms}).status_code == 400


def test_an_unknown_action_is_not_found(log_in: LogIn, admin: User, vm: VirtualMachine) -> None:
    assert log_in(admin).post("/vms/explode/", {"vm": str(vm.pk)}).status_code == 404


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_other_methods_are_refused(log_in: LogIn, admin: User, vm: VirtualMachine, method: str) -> None:
    assert getattr(log_in(admin), method)(f"{REBOOT}?vm={vm.pk}").status_code == 405


def test_the_confirmation_of_many_vms_costs_as_many_queries_as_that_of_few(
    log_in: LogIn, operator: User, make_vm: MakeVm, make_operation: MakeOperation, django_assert_num_queries: Any
) -> None:
    ids = [str(make_vm(f"vm{number}").pk) for number in range(60)]
    client = log_in(operator, htmx=True)
    client.get(REBOOT, {"vm": ids[:1]})
    for count in (5, 60):
        with django_assert_num_queries(11):
            client.get(REBOOT, {"vm": ids[:count]})


@pytest.mark.behaviour(10)
@pytest.mark.behaviour(34)
def test_pending_changes_are_listed_and_the_reason_of_force_is_said(
    log_in: LogIn, operator: User, make_vm: MakeVm
) -> None:
    vm = make_vm(**pending(memory=8 << 30, cd_image="/isos/<new>.iso"))
    html = log_in(operator, htmx=True).get(REBOOT, {"vm": str(vm.pk)}).content.decode()
    for told in (
        "It <b>will be powered off</b> if the guest does not shut down in time, because changes must be applied.",
        "The changes that wait are applied.",
        "4 GiB",
        "8 GiB",
        "/isos/&lt;new&gt;.iso",
    ):
        assert told in html
    assert "/isos/<new>.iso" not in html


@pytest.mark.behaviour(10)
def test_a_request_that_says_no_to_force_is_told_that_the_changes_may_go_on_waiting(
    log_in: LogIn, operator: User, make_vm: MakeVm
) -> None:
    vm = make_vm(**pending(vcpus=4))
    url = reverse("vm_action_plan", args=[Action.REBOOT])
    html = log_in(operator, htmx=True).get(url, {"vm": str(vm.pk), "force": "no"}).content.decode()
    assert "if it gives up, they go on waiting" in html
    assert "The changes that wait are applied." not in html
    assert "Virtual CPUs" in html


@pytest.mark.behaviour(13)
@pytest.mark.behaviour(14)
def test_the_end_of_a_run_that_differs_is_said(log_in: LogIn, operator: User, make_vm: MakeVm) -> None:
    client = log_in(operator, htmx=True)
    run_once, stateless = make_vm("rescue", run_once=True), make_vm("kiosk", run_stateless=True)
    ends = "This run was started with other than the stored configuration; that ends with it."
    loses = "The run is stateless: everything it has written to its disks is lost."
    for url in (REBOOT, POWER_OFF):
        assert ends in client.get(url, {"vm": str(run_once.pk)}).content.decode()
        assert loses in client.get(url, {"vm": str(stateless.pk)}).content.decode()
        both = client.get(url, {"vm": [str(run_once.pk), str(stateless.pk)]}).content.decode()
        assert ends in both
        assert loses in both


def test_a_restart_inside_the_guest_is_its_own_ladder(log_in: LogIn, operator: User, make_vm: MakeVm) -> None:
    vm = make_vm(restart_inside=True)
    html = log_in(operator, htmx=True).get(REBOOT, {"vm": str(vm.pk)}).content.decode()
    assert "Ask the guest agent to restart the guest; the VM itself runs on" in html
    assert "Press the power button" not in html


@pytest.mark.behaviour(33)
def test_several_vms_are_told_which_changes_each_gets(log_in: LogIn, operator: User, make_vm: MakeVm) -> None:
    vms = [make_vm("a", **pending(memory=8 << 30)), make_vm("b")]
    html = log_in(operator, htmx=True).get(REBOOT, {"vm": [str(vm.pk) for vm in vms]}).content.decode()
    assert html.count("The changes that wait are applied.") == 1
    assert "Memory: 4 GiB → 8 GiB" in html

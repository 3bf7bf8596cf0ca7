"""Django admin: the same rules as on the pages, and history that nobody rewrites."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn
from vms.domain.retention import Keep
from vms.models import ConfigurationChange, Event, Operation, PortalDefaults, VirtualMachine


@pytest.fixture
def staff(admin: User) -> User:
    """An Administrator who may enter Django admin."""
    admin.is_staff = True
    admin.save()
    return admin


@pytest.fixture
def client(staff: User, log_in: LogIn) -> Client:
    """The Administrator's browser."""
    return log_in(staff)


def url(model: str, page: str, *args: object) -> str:
    """Return the address of an admin page of ours."""
    return reverse(f"admin:vms_{model}_{page}", args=args)


MODELS = (
    "host",
    "virtualmachine",
    "tag",
    "preference",
    "secondfactor",
    "subscription",
    "mail",
    "bulk",
    "operation",
    "operationstep",
    "event",
    "portaldefaults",
    "configurationchange",
    "webhook",
    "webhookdelivery",
)


@pytest.mark.parametrize("model", MODELS)
def test_every_list_opens(
    client: Client, staff: User, model: str, vm: VirtualMachine, make_operation: Callable[..., Operation]
) -> None:
    make_operation(vm)
    Event.objects.create(code=61, message="web01 went down.", vm=vm)
    ConfigurationChange.objects.create(vm=vm, values={"boot": ["hd"]}, reverts=["memory"], actor_name="grace")
    staff.is_superuser = True
    staff.save()
    assert client.get(url(model, "changelist")).status_code == 200


@pytest.mark.parametrize("model", ["operation", "operationstep", "event", "configurationchange"])
def test_history_is_looked_at_and_not_written(
    client: Client, staff: User, model: str, vm: VirtualMachine, make_operation: Callable[..., Operation]
) -> None:
    staff.is_superuser = True
    staff.save()
    operation = make_operation(vm)
    step = operation.steps.first() or operation.steps.create(number=1, kind="prepare", at=operation.created_at)
    event = Event.objects.create(code=61, message="web01 went down.", vm=vm)
    change = ConfigurationChange.objects.create(vm=vm, values={"vcpus": 4}, actor_name="grace")
    rows = {"operation": operation, "operationstep": step, "event": event, "configurationchange": change}
    row = rows[model]
    assert client.get(url(model, "change", row.pk)).status_code == 200
    assert client.post(url(model, "change", row.pk), {"message": "it never happened"}).status_code == 403
    assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert client.get(url(model, "add")).status_code == 403
    row.refresh_from_db()


def test_a_policy_is_set_with_its_event(client: Client, vm: VirtualMachine) -> None:
    form = {"force_power_off": "true", "graceful_delay": "45", "tags": "web, production"}
    assert client.post(url("virtualmachine", "change", vm.pk), form).status_code == 302
    vm.refresh_from_db()
    assert (vm.force_power_off, vm.graceful_delay) == (True, 45)
    assert set(vm.tags.values_list("name", flat=True)) == {"web", "production"}
    policy, tags = Event.objects.filter(vm=vm).order_by("id").values_list("message", flat=True)
    assert "Power-down policy of web01 changed" in policy
    assert tags == "Tags of web01 changed from “” to “production, web”."


def test_the_options_are_set_with_their_event_and_what_somebody_else_set_meanwhile_stays(
    client: Client, vm: VirtualMachine
) -> None:
    page = url("virtualmachine", "change", vm.pk)
    assert client.post(page, {"force_power_off": "unknown", "stateless": "on"}).status_code == 302
    vm.refresh_from_db()
    assert (vm.stateless, vm.restart_inside, vm.force_power_off) == (True, False, None)
    assert Event.objects.get(vm=vm).message == "Policy of web01 changed: stateless on."


@pytest.mark.behaviour(4)
@pytest.mark.parametrize("delay", ["0", "-1", "1.5", "abc", "3601", "1000000000000"])
def test_a_bad_delay_is_refused_at_its_field(client: Client, vm: VirtualMachine, delay: str) -> None:
    answer = client.post(url("virtualmachine", "change", vm.pk), {"force_power_off": "false", "graceful_delay": delay})
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["graceful_delay"]
    vm.refresh_from_db()
    assert (vm.force_power_off, vm.graceful_delay) == (None, None)
    assert not Event.objects.exists()


def test_nothing_else_of_a_vm_can_be_written(client: Client, vm: VirtualMachine) -> None:
    client.post(url("virtualmachine", "change", vm.pk), {"graceful_delay": "45", "status": "down", "name": "other"})
    vm.refresh_from_db()
    assert (vm.status, vm.name) == ("up", "web01")
    assert client.get(url("virtualmachine", "add")).status_code == 403
    assert client.post(url("virtualmachine", "delete", vm.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("action", ["reboot", "shut_down", "power_off", "power_cycle", "run", "suspend", "resume"])
def test_a_power_action_leads_to_the_confirmation_of_the_pages(client: Client, vm: VirtualMachine, action: str) -> None:
    chosen = {"action": f"ask_{action}", "_selected_action": [str(vm.pk)]}
    answer = client.post(url("virtualmachine", "changelist"), chosen)
    assert answer.status_code == 302
    assert answer["Location"] == f"/vms/{action.replace('_', '-')}/?vm={vm.pk}"
    assert client.get(answer["Location"]).status_code == 200
    assert not Operation.objects.exists()


def test_run_once_leads_to_its_dialog_for_one_vm_and_nowhere_for_several(
    client: Client, make_vm: Callable[..., VirtualMachine]
) -> None:
    one, two = make_vm("a"), make_vm("b")
    chosen = {"action": "ask_run_once", "_selected_action": [str(one.pk)]}
    answer = client.post(url("virtualmachine", "changelist"), chosen)
    assert answer["Location"] == f"/vms/run-once/?vm={one.pk}"
    chosen["_selected_action"] = [str(one.pk), str(two.pk)]
    answer = client.post(url("virtualmachine", "changelist"), chosen, follow=True)
    assert answer.redirect_chain == [(url("virtualmachine", "changelist"), 302)]
    assert "Run once is for one virtual machine at a time." in answer.content.decode()


def test_only_the_power_actions_one_may_do_are_offered(log_in: LogIn, viewer: User, vm: VirtualMachine) -> None:
    viewer.is_staff = True
    viewer.save()
    client = log_in(viewer)
    page = client.get(url("virtualmachine", "changelist"))
    assert page.status_code == 200
    assert "ask_reboot" not in page.content.decode()
    chosen = {"action": "ask_reboot", "_selected_action": [str(vm.pk)]}
    client.post(url("virtualmachine", "changelist"), chosen)
    assert not Operation.objects.exists()
    assert client.post(url("virtualmachine", "change", vm.pk), {"graceful_delay": "45"}).status_code == 403


def test_the_portal_defaults_are_changed_with_their_event_and_there_is_one_row(client: Client) -> None:
    keep = {"keep_events": "365", "keep_operations": "30"}
    form = {"force": "on", "graceful_delay": "90", "bulk_in_flight": "7"} | keep
    assert client.post(url("portaldefaults", "add"), form).status_code == 302
    assert (PortalDefaults.load().force, PortalDefaults.load().graceful_delay) == (True, 90)
    assert PortalDefaults.load().bulk_in_flight == 7
    assert client.get(url("portaldefaults", "add")).status_code == 403
    assert client.post(url("portaldefaults", "delete", 1), {"post": "yes"}).status_code == 403
    changed = {"graceful_delay": "30", "bulk_in_flight": "7"} | keep
    assert client.post(url("portaldefaults", "change", 1), changed).status_code == 302
    assert PortalDefaults.load().keeps == Keep(events=365, operations=30)
    assert (PortalDefaults.load().force, PortalDefaults.load().graceful_delay) == (False, 30)
    assert Event.objects.filter(message__startswith="Portal default of the power-down policy changed").count() == 2


def test_hosts_are_added_changed_and_removed_on_the_pages(client: Client, vm: VirtualMachine) -> None:
    host = vm.host
    assert client.get(url("host", "add"))["Location"] == reverse("host_add")
    assert client.get(url("host", "change", host.pk)).status_code == 200
    for action, page in (("edit_on_its_page", "host_edit"), ("remove_on_its_page", "host_remove")):
        chosen = {"action": action, "_selected_action": [str(host.pk)]}
        assert client.post(url("host", "changelist"), chosen)["Location"] == reverse(page, args=[host.pk])
    assert client.post(url("host", "change", host.pk), {"name": "x", "uri": "qemu+ext:///x"}).status_code == 403
    assert client.post(url("host", "delete", host.pk), {"post": "yes"}).status_code == 403
    host.refresh_from_db()
    assert (host.name, host.uri, host.removed_at) == ("kvm1", "qemu:///system", None)


def test_who_may_only_look_at_hosts_is_offered_nothing(log_in: LogIn, viewer: User, vm: VirtualMachine) -> None:
    viewer.is_staff = True
    viewer.save()
    page = log_in(viewer).get(url("host", "changelist")).content.decode()
    assert "on_its_page" not in page
    assert log_in(viewer).get(url("host", "add"), follow=True).status_code == 403


def test_nobody_but_staff_enters(log_in: LogIn, operator: User) -> None:
    answer = log_in(operator).get(url("virtualmachine", "changelist"))
    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]

"""`host_remove`: managing a host no more, with its history kept."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn, MakeOperation, MakeVm
from vms.domain.configuration import Part
from vms.domain.operation import Outcome
from vms.domain.power import Action, VmStatus
from vms.engine import configuring
from vms.engine.records import Code
from vms.models import ConfigurationChange, Event, Host, Operation, VirtualMachine


@pytest.fixture
def url(host: Host) -> str:
    """The confirmation's address."""
    return reverse("host_remove", args=[host.pk])


def test_what_it_means_is_said_before(log_in: LogIn, admin: User, url: str, make_vm: MakeVm) -> None:
    for name in ("a", "b"):
        make_vm(name)
    html = log_in(admin, htmx=True).get(url).content.decode()
    assert "its 2 virtual machines no more" in html
    assert "On the host itself nothing changes" in html


def test_a_removed_host_and_its_vms_are_shown_no_more_and_history_is_kept(
    log_in: LogIn, admin: User, host: Host, url: str, vm: VirtualMachine, make_operation: MakeOperation
) -> None:
    operation = make_operation(vm, outcome=Outcome.CLEAN_AGENT)
    client = log_in(admin, htmx=True)
    assert "portal:close-dialog" in client.post(url).headers["HX-Trigger"]
    host.refresh_from_db()
    assert host.removed_at is not None
    event = Event.objects.get()
    assert (event.code, event.host, event.actor) == (Code.HOST_REMOVED, host, admin)
    assert Operation.objects.get() == operation
    vm.refresh_from_db()
    assert vm.status == VmStatus.GONE
    assert "kvm1" not in client.get(reverse("host_table")).content.decode()
    assert "web01" not in client.get(reverse("vm_board")).content.decode()
    assert "web01" in client.get(reverse("operation_list")).content.decode()
    assert client.post(url).status_code == 404


@pytest.mark.behaviour(29)
def test_a_host_with_running_operations_stays(
    log_in: LogIn, admin: User, host: Host, url: str, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    for name in ("a", "b"):
        make_operation(make_vm(name))
    response = log_in(admin, htmx=True).post(url)
    assert response.status_code == 409
    assert "2 operations are running on it: wait for their end, or cancel them." in response.content.decode()
    host.refresh_from_db()
    assert host.removed_at is None
    assert not Event.objects.exists()


def test_no_action_reaches_a_vm_of_a_removed_host(log_in: LogIn, admin: User, url: str, vm: VirtualMachine) -> None:
    client = log_in(admin, htmx=True)
    client.post(url)
    response = client.post(reverse("vm_action", args=[Action.REBOOT]), {"vm": str(vm.pk)})
    assert response.status_code == 400  # there is no such VM to choose
    assert not Operation.objects.exists()
    assert client.get(reverse("vm_edit", args=[vm.pk])).status_code == 404


def test_changes_that_its_vms_wait_for_are_given_up_in_words(
    log_in: LogIn, admin: User, url: str, vm: VirtualMachine
) -> None:
    with transaction.atomic():
        change = configuring.accept(vm, {Part.VCPUS: 4}, [], admin, "correlation")
    log_in(admin, htmx=True).post(url)
    change.refresh_from_db()
    assert change.state == ConfigurationChange.State.FAILED
    assert "The host was removed from the portal." in Event.objects.get(code=Code.VM_UPDATE_FAILED).message


def test_its_name_is_free_again(log_in: LogIn, admin: User, host: Host, url: str) -> None:
    log_in(admin, htmx=True).post(url)
    response = log_in(admin, htmx=True).post(reverse("host_add"), {"name": host.name, "uri": "qemu:///session"})
    assert response.status_code == 200


def test_others_are_forbidden(log_in: LogIn, viewer: User, operator: User, url: str) -> None:
    for user in (viewer, operator):
        client = log_in(user)
        assert client.get(url).status_code == client.post(url).status_code == 403
        page = client.get(reverse("host_list")).content.decode()
        assert url not in page
        assert reverse("host_add") not in page
    assert Host.objects.managed().exists()


def test_looking_changes_nothing(log_in: LogIn, admin: User, url: str) -> None:
    log_in(admin).get(url)
    assert Host.objects.managed().exists()


def test_nobody_is_sent_to_the_login_page(client: Client, url: str) -> None:
    assert client.post(url).headers["Location"].startswith(reverse("login"))


def test_a_post_without_its_csrf_token_is_refused(log_in: LogIn, admin: User, url: str) -> None:
    assert log_in(admin, enforce_csrf_checks=True).post(url).status_code == 403
    assert Host.objects.managed().exists()

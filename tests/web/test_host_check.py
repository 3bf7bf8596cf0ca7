"""`host_check` and `host_check_use`: what came of a test, and adding or changing the host that was tested."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.support.scene import LogIn, MakeOperation, MakeVm
from vms.domain.power import VmStatus
from vms.engine.records import Code
from vms.models import Event, Host, HostCheck, VirtualMachine

State = HostCheck.State


def check(state: State = State.PASSED, **fields: Any) -> HostCheck:
    """A test of a new host, in a state."""
    defaults: dict[str, Any] = {"name": "kvm2", "uri": "qemu+tls://kvm2.example.org/system", "state": state}
    return HostCheck.objects.create(**(defaults | fields))


def show(row: HostCheck) -> str:
    """Return the address of a test."""
    return reverse("host_check", args=[row.pk])


def use(row: HostCheck) -> str:
    """Return the address that adds or changes the host that was tested."""
    return reverse("host_check_use", args=[row.pk])


def test_a_test_that_is_not_done_is_read_again_until_it_is(log_in: LogIn, admin: User) -> None:
    row = check(State.WAITING)
    client = log_in(admin, htmx=True)
    html = client.get(show(row)).content.decode()
    assert f'data-live="{show(row)}"' in html
    assert use(row) not in html
    HostCheck.objects.update(state=State.PASSED, hostname="kvm2", version="QEMU 7.2.0", vm_count=12)
    html = client.get(show(row)).content.decode()
    assert "data-live" not in html
    assert use(row) in html
    for told in ("The connection works.", "QEMU 7.2.0", "<dd>12</dd>", "Add host"):
        assert told in html


def test_a_failed_test_says_why_and_what_to_do(log_in: LogIn, admin: User) -> None:
    said = "authentication failed: Failed to verify peer&#x27;s certificate"
    row = check(State.FAILED, error="authentication failed: Failed to verify peer's certificate")
    html = log_in(admin, htmx=True).get(show(row)).content.decode()
    assert said in html
    assert "The certificate of kvm2.example.org is not trusted." in html
    assert "Add all the same" in html


def test_a_test_that_nobody_does_asks_for_the_watcher(log_in: LogIn, admin: User) -> None:
    row = check(State.WAITING, created_at=timezone.now() - timedelta(seconds=11))
    html = log_in(admin, htmx=True).get(show(row)).content.decode()
    assert "Is the watcher running?" in html
    assert "data-live" in html


@pytest.mark.parametrize("state", [State.PASSED, State.FAILED])
def test_the_host_that_was_tested_is_added_with_its_event(log_in: LogIn, admin: User, state: State) -> None:
    row = check(state)
    response = log_in(admin, htmx=True).post(use(row), {"uri": "qemu:///somewhere-else"})
    assert response.status_code == 200
    assert "portal:close-dialog" in response.headers["HX-Trigger"]
    host = Host.objects.get()
    assert (host.name, host.uri, host.state) == (row.name, row.uri, Host.State.NEW)
    event = Event.objects.get()
    assert (event.code, event.host, event.actor) == (Code.HOST_ADDED, host, admin)


def test_without_htmx_it_leads_back_to_the_hosts(log_in: LogIn, admin: User) -> None:
    response = log_in(admin).post(use(check()), follow=True)
    assert "kvm2 was added." in response.content.decode()
    assert "<html" in response.content.decode()


def test_adding_twice_is_refused_in_words(log_in: LogIn, admin: User) -> None:
    row, client = check(), log_in(admin, htmx=True)
    assert client.post(use(row)).status_code == 200
    response = client.post(use(row))
    assert response.status_code == 409
    assert "There is a host of this name already." in response.content.decode()
    assert Host.objects.count() == 1


def test_a_host_gets_another_address_with_its_event(log_in: LogIn, admin: User, host: Host, vm: VirtualMachine) -> None:
    row = check(host=host, name="kvm1", uri="qemu+ssh://root@kvm1/system")
    assert log_in(admin, htmx=True).post(use(row)).status_code == 200
    host.refresh_from_db()
    assert (host.uri, host.state, host.watched_until) == ("qemu+ssh://root@kvm1/system", Host.State.NEW, None)
    assert Event.objects.get().code == Code.HOST_UPDATED
    assert VirtualMachine.objects.get(pk=vm.pk).host == host


def test_the_address_is_not_changed_under_a_running_operation(
    log_in: LogIn, admin: User, host: Host, vm: VirtualMachine, make_operation: MakeOperation
) -> None:
    make_operation(vm)
    response = log_in(admin, htmx=True).post(use(check(host=host, name="kvm1")))
    assert response.status_code == 409
    assert "1 operation is running on it" in response.content.decode()
    host.refresh_from_db()
    assert host.uri == "qemu:///system"


def test_a_removed_host_that_is_added_again_has_its_vms_back(
    log_in: LogIn, admin: User, host: Host, make_vm: MakeVm
) -> None:
    vm = make_vm(status=VmStatus.GONE)
    Host.objects.update(removed_at=timezone.now())
    row = check(name="kvm1 again", uri=host.uri)
    assert log_in(admin, htmx=True).post(use(row)).status_code == 200
    host.refresh_from_db()
    assert (host.name, host.removed_at) == ("kvm1 again", None)
    assert VirtualMachine.objects.get(pk=vm.pk).host == host


def test_a_test_that_is_gone_says_so(log_in: LogIn, admin: User) -> None:
    row = check()
    HostCheck.objects.all().delete()
    assert log_in(admin, htmx=True).get(show(row)).status_code == 404


def test_others_are_forbidden(log_in: LogIn, viewer: User, operator: User, host: Host) -> None:
    for user in (viewer, operator):
        client = log_in(user)
        for row in (check(), check(host=host)):
            assert client.get(show(row)).status_code == client.post(use(row)).status_code == 403
    assert Host.objects.get() == host


def test_looking_changes_nothing(log_in: LogIn, admin: User) -> None:
    assert log_in(admin).get(use(check())).status_code == 405
    assert not Host.objects.exists()


def test_nobody_is_sent_to_the_login_page(client: Client, db: None) -> None:
    assert client.post(use(check())).headers["Location"].startswith(reverse("login"))


def test_a_post_without_its_csrf_token_is_refused(log_in: LogIn, admin: User) -> None:
    assert log_in(admin, enforce_csrf_checks=True).post(use(check())).status_code == 403
    assert not Host.objects.exists()

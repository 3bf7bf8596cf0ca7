"""`host_edit`: another name at once, another URI after a test."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.support.scene import LogIn, MakeOperation
from vms.engine.records import Code
from vms.models import Event, Host, HostCheck, VirtualMachine


@pytest.fixture
def url(host: Host) -> str:
    """The form's address."""
    return reverse("host_edit", args=[host.pk])


def test_another_name_is_saved_at_once_even_while_operations_run(
    log_in: LogIn, admin: User, host: Host, url: str, vm: VirtualMachine, make_operation: MakeOperation
) -> None:
    make_operation(vm)
    client = log_in(admin, htmx=True)
    assert 'value="qemu:///system"' in client.get(url).content.decode()
    response = client.post(url, {"name": "cellar", "uri": host.uri})
    assert response.status_code == 200
    assert "portal:close-dialog" in response.headers["HX-Trigger"]
    host.refresh_from_db()
    assert (host.name, host.state) == ("cellar", Host.State.CONNECTED)
    event = Event.objects.get()
    assert (event.code, event.actor) == (Code.HOST_UPDATED, admin)
    assert "kvm1" in event.message
    assert "cellar" in event.message


def test_another_uri_is_tested_first(log_in: LogIn, admin: User, host: Host, url: str) -> None:
    log_in(admin, htmx=True).post(url, {"name": "kvm1", "uri": "qemu+ssh://root@kvm1/system"})
    check = HostCheck.objects.get()
    assert (check.host, check.uri) == (host, "qemu+ssh://root@kvm1/system")
    host.refresh_from_db()
    assert host.uri == "qemu:///system"


def test_saving_what_holds_already_is_no_event(log_in: LogIn, admin: User, host: Host, url: str) -> None:
    assert log_in(admin, htmx=True).post(url, {"name": host.name, "uri": host.uri}).status_code == 200
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": "kvm2"}, {"uri": "qemu+ext:///x"}, {"uri": "qemu:///session"}]
)
def test_what_is_wrong_is_said_at_its_field(
    log_in: LogIn, admin: User, host: Host, url: str, wrong: dict[str, str]
) -> None:
    Host.objects.create(name="kvm2", uri="qemu:///session")
    response = log_in(admin, htmx=True).post(url, {"name": host.name, "uri": host.uri} | wrong)
    assert response.status_code == 422
    assert set(response.context["form"].errors) == set(wrong)
    assert not HostCheck.objects.exists()


def test_the_uri_of_a_removed_host_stays_its_own(log_in: LogIn, admin: User, host: Host, url: str) -> None:
    Host.objects.create(name="old", uri="qemu:///session", removed_at=timezone.now())
    response = log_in(admin, htmx=True).post(url, {"name": host.name, "uri": "qemu:///session"})
    assert response.status_code == 422
    assert "This URI belonged to old." in response.content.decode()


def test_a_removed_host_cannot_be_edited(log_in: LogIn, admin: User, url: str) -> None:
    Host.objects.update(removed_at=timezone.now())
    assert log_in(admin).get(url).status_code == 404


def test_others_are_forbidden(log_in: LogIn, viewer: User, operator: User, url: str) -> None:
    for user in (viewer, operator):
        client = log_in(user)
        assert (
            client.get(url).status_code == client.post(url, {"name": "x", "uri": "qemu:///system"}).status_code == 403
        )
    assert not Event.objects.exists()


def test_nobody_is_sent_to_the_login_page(client: Client, url: str) -> None:
    assert client.post(url).headers["Location"].startswith(reverse("login"))


def test_a_post_without_its_csrf_token_is_refused(log_in: LogIn, admin: User, host: Host, url: str) -> None:
    client = log_in(admin, enforce_csrf_checks=True)
    assert client.post(url, {"name": "x", "uri": host.uri}).status_code == 403
    assert Host.objects.get().name == "kvm1"

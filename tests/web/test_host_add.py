"""`host_add`: name and URI of a new host, and the order to test the connection."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn
from vms.models import Event, Host, HostCheck

URL = reverse("host_add")
NEW = {"name": "kvm2", "uri": " qemu+ssh://root@kvm2.example.org/system?keyfile=/etc/vm-portal/key "}


def test_a_connection_is_tested_before_anything_is_saved(log_in: LogIn, admin: User) -> None:
    client = log_in(admin, htmx=True)
    assert "Test connection" in client.get(URL).content.decode()
    response = client.post(URL, NEW)
    assert response.status_code == 200
    check = HostCheck.objects.get()
    assert (check.name, check.uri, check.state, check.host) == ("kvm2", NEW["uri"].strip(), "waiting", None)
    assert f'data-live="{reverse("host_check", args=[check.pk])}"' in response.content.decode()
    assert not Host.objects.exists()
    assert not Event.objects.exists()


def test_without_htmx_the_test_has_a_page_of_its_own(log_in: LogIn, admin: User) -> None:
    client = log_in(admin)
    assert "<html" in client.get(URL).content.decode()
    response = client.post(URL, NEW)
    assert response.headers["Location"] == reverse("host_check", args=[HostCheck.objects.get().pk])


def test_who_goes_back_finds_what_was_typed(log_in: LogIn, admin: User) -> None:
    check = HostCheck.objects.create(name="kvm2", uri="qemu:///session")
    html = log_in(admin).get(URL, {"check": str(check.pk)}).content.decode()
    assert 'value="kvm2"' in html
    assert 'value="qemu:///session"' in html
    assert log_in(admin).get(URL, {"check": "nonsense"}).status_code == 200


@pytest.mark.behaviour(29)
@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("qemu+ext:///system?command=/tmp/evil", "“qemu+ext” is not allowed"),
        ("qemu+ssh://kvm2/system?command=/tmp/evil", "The parameter “command” is not allowed"),
        ("qemu+ssh://kvm2/system?netcat=/tmp/evil", "The parameter “netcat” is not allowed"),
        ("qemu+ssh://-oProxyCommand=evil/system", "is not the name or address of a host"),
        ("qemu+ssh://root:secret@kvm2/system", "holds no password"),
        ("xen:///system", "not “xen”"),
        ("kvm2", "This is not a connection URI"),
        ("", "This field is required"),
    ],
)
def test_a_uri_that_does_more_than_connect_is_refused_at_its_field(
    log_in: LogIn, admin: User, uri: str, told: str
) -> None:
    response = log_in(admin, htmx=True).post(URL, {"name": "kvm2", "uri": uri})
    assert response.status_code == 422
    html = response.content.decode()
    assert html.count(told) == 2  # at the field, and in the summary
    assert 'value="kvm2"' in html
    assert not HostCheck.objects.exists()


@pytest.mark.parametrize(("field", "value"), [("name", "kvm1"), ("uri", "qemu:///system")])
def test_what_another_host_has_is_refused(log_in: LogIn, admin: User, host: Host, field: str, value: str) -> None:
    response = log_in(admin, htmx=True).post(URL, NEW | {field: value})
    assert response.status_code == 422
    assert response.context["form"].errors[field]
    assert not HostCheck.objects.exists()


def test_others_are_forbidden(log_in: LogIn, viewer: User, operator: User) -> None:
    for user in (viewer, operator):
        client = log_in(user)
        assert client.get(URL).status_code == client.post(URL, NEW).status_code == 403
    assert not HostCheck.objects.exists()


def test_nobody_is_sent_to_the_login_page(client: Client, db: None) -> None:
    assert client.post(URL, NEW).headers["Location"].startswith(reverse("login"))


def test_a_post_without_its_csrf_token_is_refused(log_in: LogIn, admin: User) -> None:
    assert log_in(admin, enforce_csrf_checks=True).post(URL, NEW).status_code == 403
    assert not HostCheck.objects.exists()

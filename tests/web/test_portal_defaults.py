"""`portal_defaults`: the power-down policy of VMs that have not set their own, and how long history is kept."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn
from vms.domain.policy import Setting
from vms.domain.retention import Keep
from vms.engine.records import Code
from vms.models import Event, PortalDefaults

URL = reverse("portal_defaults")
KEEP = {"keep_events": "365", "keep_operations": "365"}
FORM = {"force": "on", "graceful_delay": "90", "bulk_in_flight": "10"} | KEEP


def test_an_administrator_changes_the_default_with_an_event(log_in: LogIn, admin: User) -> None:
    client = log_in(admin)
    assert 'value="60"' in client.get(URL).content.decode()
    response = client.post(URL, FORM, follow=True)
    assert "were saved" in response.content.decode()
    assert PortalDefaults.load().setting == Setting(force=True, delay=90)
    event = Event.objects.get()
    assert (event.code, event.actor) == (Code.DEFAULTS_CHANGED, admin)
    assert "delay 60 s" in event.message
    assert "delay 90 s" in event.message


def test_saving_what_holds_already_is_no_event(log_in: LogIn, admin: User) -> None:
    sent = KEEP | {"graceful_delay": "60", "bulk_in_flight": "10"}
    assert log_in(admin).post(URL, sent).status_code == 302
    assert not Event.objects.exists()


@pytest.mark.parametrize("delay", ["0", "-1", "1.5", "abc", "3601", ""])
def test_a_bad_delay_is_answered_at_the_field(log_in: LogIn, admin: User, delay: str) -> None:
    response = log_in(admin).post(URL, FORM | {"graceful_delay": delay})
    assert response.status_code == 422
    html = response.content.decode()
    assert html.count("Enter whole seconds from 1 to 3600.") == 2
    if delay:
        assert f'value="{delay}"' in html
    assert PortalDefaults.load().setting == Setting(force=False, delay=60)


def test_an_administrator_says_how_long_history_is_kept(log_in: LogIn, admin: User) -> None:
    sent = {"graceful_delay": "60", "bulk_in_flight": "10", "keep_events": "30", "keep_operations": "0"}
    assert log_in(admin).post(URL, sent).status_code == 302
    assert PortalDefaults.load().keeps == Keep(events=30, operations=0)
    told = "from “events 365 days, operations 365 days” to “events 30 days, operations for ever”"
    assert told in Event.objects.get().message


@pytest.mark.parametrize("days", ["-1", "1.5", "abc", "36501", ""])
def test_a_bad_number_of_days_is_answered_at_the_field_and_nothing_is_saved(
    log_in: LogIn, admin: User, days: str
) -> None:
    response = log_in(admin).post(URL, FORM | {"keep_events": days})
    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["keep_events"]
    assert response.content.decode().count("Enter whole days from 0 (for ever) to 36500.") == 2
    assert not PortalDefaults.objects.exists()


@pytest.mark.behaviour(33)
def test_an_administrator_changes_how_many_of_one_request_are_worked_on_at_a_time(log_in: LogIn, admin: User) -> None:
    client = log_in(admin)
    assert 'name="bulk_in_flight" value="10"' in client.get(URL).content.decode()
    assert client.post(URL, KEEP | {"graceful_delay": "60", "bulk_in_flight": "25"}).status_code == 302
    assert PortalDefaults.load().bulk_in_flight == 25
    event = Event.objects.get()
    assert (event.code, event.actor) == (Code.DEFAULTS_CHANGED, admin)
    assert event.message == "Of one request, at most 25 virtual machines are worked on at a time now, not 10."


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "abc", "1001", "", "1" * 30, "²"])
def test_a_bad_number_at_a_time_is_answered_at_the_field(log_in: LogIn, admin: User, number: str) -> None:
    response = log_in(admin).post(URL, FORM | {"bulk_in_flight": number})
    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["bulk_in_flight"]
    assert not PortalDefaults.objects.exists()


def test_others_are_forbidden(log_in: LogIn, viewer: User, operator: User) -> None:
    for user in (viewer, operator):
        client = log_in(user)
        assert client.get(URL).status_code == 403
        assert client.post(URL, FORM).status_code == 403
        assert URL not in client.get(reverse("vm_list")).content.decode()
    assert not PortalDefaults.objects.exists()


def test_nobody_is_sent_to_the_login_page(client: Client, db: None) -> None:
    assert client.post(URL, FORM).headers["Location"].startswith(reverse("login"))


def test_looking_changes_nothing(log_in: LogIn, admin: User) -> None:
    assert log_in(admin).get(URL, FORM).status_code == 200
    assert not PortalDefaults.objects.exists()


def test_a_post_without_its_csrf_token_is_refused(log_in: LogIn, admin: User) -> None:
    assert log_in(admin, enforce_csrf_checks=True).post(URL, FORM).status_code == 403
    assert not PortalDefaults.objects.exists()

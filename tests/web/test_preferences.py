"""`preferences`: what each person prefers."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn
from vms import actions
from vms.domain.preferences import Hint
from vms.models import Preference

URL = reverse("preferences")


def test_what_is_sent_is_kept_and_the_rest_stays(log_in: LogIn, viewer: User, admin: User) -> None:
    client = log_in(viewer)
    for sent in ({"shortcuts": "off"}, {"theme": "dark"}, {"language": "en"}, {"dismiss": "list"}, {"dismiss": "vm"}):
        assert client.post(URL, sent).headers["Location"] == reverse("account")
    kept = Preference.objects.get(user=viewer)
    assert (kept.shortcuts, kept.theme, kept.language) == (False, "dark", "en")
    assert not kept.shows(Hint.LIST)
    assert not kept.shows(Hint.VM)
    assert kept.shows(Hint.EVENTS)
    client.post(URL, {"hints": "show", "theme": "", "shortcuts": "on"})
    kept.refresh_from_db()
    assert kept.shows(Hint.LIST)
    assert (kept.shortcuts, kept.theme, kept.language) == (True, "", "en")
    assert not Preference.objects.filter(user=admin).exists()


def test_a_script_is_told_nothing_and_others_are_led_back(log_in: LogIn, viewer: User) -> None:
    assert log_in(viewer, htmx=True).post(URL, {"dismiss": "events"}).content == b""
    client = log_in(viewer)
    assert client.post(URL, {"dismiss": "events", "next": "/events/?page=2"}).headers["Location"] == "/events/?page=2"
    assert client.post(URL, {"shortcuts": "on", "next": "//evil.example"}).headers["Location"] == reverse("account")


@pytest.mark.parametrize(
    "sent", [{"shortcuts": "maybe"}, {"language": "tlh"}, {"theme": "pink"}, {"dismiss": "all"}, {"hints": "hide"}]
)
def test_what_cannot_be_preferred_is_refused(log_in: LogIn, viewer: User, sent: dict[str, str]) -> None:
    assert log_in(viewer).post(URL, sent).status_code == 400
    assert not Preference.objects.exists()


def test_only_ones_own_by_post_with_a_token(client: Client, log_in: LogIn, viewer: User) -> None:
    assert client.post(URL, {}).headers["Location"].startswith(reverse("login"))
    assert log_in(viewer).get(URL).status_code == 405
    assert log_in(viewer, enforce_csrf_checks=True).post(URL, {"theme": "dark"}).status_code == 403


def test_what_somebody_prefers_is_read_together_with_them(
    log_in: LogIn, viewer: User, django_assert_num_queries: Any
) -> None:
    client = log_in(viewer)
    with django_assert_num_queries(10) as before:
        client.get(reverse("account"))
    actions.dismiss_hint(viewer, Hint.LIST)
    with django_assert_num_queries(len(before)):
        client.get(reverse("account"))

"""`account`, `api_token_make` and `api_token_revoke`: one's own tokens of the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import urlencode

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.support.scene import LogIn
from vms import actions, queries
from vms.domain import guessing
from vms.engine.records import Code
from vms.models import ApiToken, Event

ACCOUNT, MAKE = reverse("account"), reverse("api_token_make")
VMS = "/ovirt-engine/api/vms"
SENT = {"name": "Backup script", "days": "90", "password": "a password"}
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def revoke(token: ApiToken) -> str:
    """Return the address that revokes a token."""
    return reverse("api_token_revoke", args=[token.pk])


def is_good(secret: str) -> bool:
    """Say whether the API takes a token."""
    return Client(headers={"Authorization": f"Bearer {secret}"}).get(VMS).status_code == 200


def test_a_token_is_made_and_shown_once(log_in: LogIn, viewer: User) -> None:
    client = log_in(viewer)
    assert "There is none." in client.get(ACCOUNT).content.decode()
    with time_machine.travel(NOON, tick=False):
        shown = client.post(MAKE, SENT)
    secret = shown.context["secret"]
    assert secret in shown.content.decode()
    assert "no-store" in shown.headers["Cache-Control"]
    token = ApiToken.objects.get()
    assert (token.person, token.name, token.expires_at) == (viewer, "Backup script", NOON + timedelta(days=90))
    html = client.get(ACCOUNT).content.decode()
    assert "Backup script" in html
    assert secret not in html
    told = Event.objects.get(code=Code.API_TOKEN_MADE)
    assert told.message == "vera made the API token Backup script, good until 2027-02-22."
    assert secret not in client.get(MAKE).content.decode()


def test_what_was_made_opens_the_api(log_in: LogIn, viewer: User) -> None:
    assert is_good(log_in(viewer).post(MAKE, SENT).context["secret"])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": " "}, "This field is required."),
        ({"name": "x" * 101}, "at most 100 characters"),
        ({"name": "a\0b"}, "Null characters are not allowed."),
        ({"days": "100000"}, "Select a valid choice."),
        ({"days": ""}, "This field is required."),
        ({"password": "not it"}, "This is not your password."),
        ({"password": ""}, "This field is required."),
    ],
    ids=str,
)
def test_what_is_wrong_makes_none(log_in: LogIn, viewer: User, wrong: dict[str, str], sentence: str) -> None:
    answer = log_in(viewer).post(MAKE, SENT | wrong)
    assert answer.status_code == 422
    assert sentence in unescape(answer.content.decode())
    assert not ApiToken.objects.exists()


def test_the_password_is_not_to_be_guessed_here(log_in: LogIn, viewer: User) -> None:
    client = log_in(viewer)
    for _attempt in range(guessing.PASSWORD.free):
        client.post(MAKE, SENT | {"password": "not it"})
    assert "Tried too often." in client.post(MAKE, SENT).content.decode()
    assert not ApiToken.objects.exists()


def test_the_page_lists_tokens_before_sessions_and_says_what_is_known(log_in: LogIn, viewer: User) -> None:
    secret = actions.make_token(viewer, "Backup script", timedelta(days=30))
    wanted = {"grant_type": "password", "scope": "ovirt-app-api", "username": "vera", "password": secret}
    program = Client(headers={"User-Agent": "SDK <4.6.3>"}, REMOTE_ADDR="192.0.2.7")
    begun = program.post("/ovirt-engine/sso/oauth/token", urlencode(wanted), "application/x-www-form-urlencoded")
    assert begun.status_code == 200
    actions.make_token(viewer, "Newest", timedelta(days=30))
    page = log_in(viewer).get(ACCOUNT)
    assert [str(token) for token in page.context["api_tokens"]] == ["Newest", "Backup script", "SDK <4.6.3>"]
    html = page.content.decode()
    for told in ("SDK &lt;4.6.3&gt;", "192.0.2.7", "Session", "Token", "never"):
        assert told in html


def test_the_page_shows_only_what_is_good_and_ones_own(log_in: LogIn, viewer: User, admin: User) -> None:
    actions.make_token(viewer, "Mine", timedelta(days=30))
    actions.make_token(viewer, "Over", timedelta(days=-1))
    actions.make_token(admin, "Ada's", timedelta(days=30))
    assert [token.name for token in log_in(viewer).get(ACCOUNT).context["api_tokens"]] == ["Mine"]
    viewer.set_password("another password")
    viewer.save()
    assert not queries.api_tokens(viewer), "what ended with the old password"


def test_a_token_is_revoked(log_in: LogIn, viewer: User) -> None:
    secret = actions.make_token(viewer, "Backup script", timedelta(days=30))
    address, client = revoke(ApiToken.objects.get()), log_in(viewer)
    assert "Revoke Backup script?" in client.get(address).content.decode()
    assert is_good(secret), "looking changes nothing"
    answer = client.post(address, follow=True)
    assert "Backup script was revoked." in answer.content.decode()
    assert not is_good(secret)
    assert Event.objects.filter(code=Code.API_TOKEN_REVOKED, actor=viewer).count() == 1
    assert client.post(address).status_code == 404


def test_nobody_revokes_another_persons(log_in: LogIn, viewer: User, admin: User) -> None:
    secret = actions.make_token(viewer, "Backup script", timedelta(days=30))
    address, client = revoke(ApiToken.objects.get()), log_in(admin)
    assert client.get(address).status_code == client.post(address).status_code == 404
    assert is_good(secret)


def test_each_form_wants_its_csrf_token(log_in: LogIn, viewer: User) -> None:
    client = log_in(viewer, enforce_csrf_checks=True)
    actions.make_token(viewer, "Backup script", timedelta(days=30))
    assert client.post(MAKE, SENT).status_code == 403
    assert client.post(revoke(ApiToken.objects.get())).status_code == 403
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize("address", [MAKE, reverse("api_token_revoke", args=[1])])
def test_who_is_not_logged_in_is_led_to_the_login(client: Client, db: None, address: str) -> None:
    for answer in (client.get(address), client.post(address)):
        assert answer.headers["Location"].startswith(reverse("login"))


def test_the_page_costs_the_same_with_any_number(log_in: LogIn, viewer: User) -> None:
    client = log_in(viewer)

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(ACCOUNT).status_code == 200
        return len(captured)

    none = cost()
    for number in range(20):
        actions.make_token(viewer, f"Token {number}", timedelta(days=30))
    assert cost() == none

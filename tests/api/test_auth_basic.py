"""Who asks: name and password with each request or once, and two-factor login. Source: REST contract, 2.3 and 2.4."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client

from tests.api.auth import (
    NOON,
    VMS,
    ask_for_token,
    basic,
    bearer,
    is_let_in,
    log_in,
)
from vms import actions
from vms.domain import guessing, second_factor
from vms.engine.records import Code
from vms.models import ApiToken, Attempts, Event, Operation, VirtualMachine

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

COOKIE = "JSESSIONID"


def keep_coming(client: Client, prefer: str = "persistent-auth", **more: Any) -> Any:
    """Send name and password once, and ask for a cookie instead of sending them again, as a fencing agent does."""
    words = base64.b64encode(b"vera@internal:a password").decode()
    return client.get(VMS, headers={"Authorization": f"Basic {words}", "Prefer": prefer}, **more)


@pytest.mark.parametrize("secure", [False, True])
def test_basic_that_is_to_persist_sets_a_cookie_on_that_very_answer(viewer: User, secure: bool) -> None:
    cookie = keep_coming(Client(), secure=secure).cookies[COOKIE]
    assert cookie.value
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/ovirt-engine/api", True, "Strict")
    assert bool(cookie["secure"]) is secure, "libcurl drops a secure one that comes by plain HTTP"
    assert (cookie["max-age"], cookie["expires"]) == ("", "")


def test_the_cookie_alone_is_enough_to_look_and_to_act(operator: User, vm: VirtualMachine) -> None:
    client = Client(enforce_csrf_checks=True)
    words = base64.b64encode(b"oskar@internal:a password").decode()
    client.get(VMS, headers={"Authorization": f"Basic {words}", "Prefer": "persistent-auth"})
    assert is_let_in(client)
    reboot = client.post(f"{VMS}/{vm.pk}/reboot", "<action/>", content_type="application/xml")
    assert reboot.status_code == 200


def test_without_being_asked_for_none_is_set(viewer: User, made: str) -> None:
    clients = [basic("vera", "a password"), bearer(made), basic("vera", "wrong")]
    answers = [clients[0].get(VMS)] + [client.get(VMS, headers={"Prefer": "persistent-auth"}) for client in clients[1:]]
    assert not any(answer.cookies for answer in answers)
    assert ApiToken.objects.get().kind == ApiToken.Kind.TOKEN


def test_the_cookie_is_good_until_nobody_uses_it(viewer: User, clock: time_machine.Traveller) -> None:
    client = Client()
    keep_coming(client)
    for _pause in range(3):
        clock.shift(timedelta(minutes=58))
        assert is_let_in(client)
    clock.shift(timedelta(minutes=61))
    assert not is_let_in(client)


def test_a_password_beside_an_old_cookie_wins_and_a_new_one_is_set(viewer: User, operator: User) -> None:
    client = Client()
    old = keep_coming(client).cookies[COOKIE].value
    assert keep_coming(client).cookies[COOKIE].value != old
    client.cookies[COOKIE] = "stale"
    assert keep_coming(client).cookies[COOKIE].value != "stale"
    words = base64.b64encode(b"vera:wrong").decode()
    assert not is_let_in(Client(headers={"Authorization": f"Basic {words}", "Cookie": f"{COOKIE}={old}"}))


@pytest.mark.parametrize("cookie", ["", "x", "vmp_unknown"])
def test_another_cookie_is_401(viewer: User, cookie: str) -> None:
    assert not is_let_in(Client(headers={"Cookie": f"{COOKIE}={cookie}"}))


def test_a_made_token_is_no_cookie(viewer: User, made: str) -> None:
    assert not is_let_in(Client(headers={"Cookie": f"{COOKIE}={made}"}))


@pytest.mark.parametrize(
    "media_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""]
)
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_what_another_sites_form_can_send_changes_nothing_by_the_cookie(
    operator: User, vm: VirtualMachine, method: str, media_type: str
) -> None:
    client = Client()
    words = base64.b64encode(b"oskar:a password").decode()
    client.get(VMS, headers={"Authorization": f"Basic {words}", "Prefer": "persistent-auth"})
    answer = getattr(client, method)(f"{VMS}/{vm.pk}/reboot", b"x=1", content_type=media_type)
    assert (answer.status_code, answer["Content-Type"]) == (415, "application/xml")
    assert not Operation.objects.exists()


def test_who_has_promised_a_header_is_held_to_it(viewer: User) -> None:
    client = Client()
    cookie = keep_coming(client, "persistent-auth, csrf-protection").cookies[COOKIE].value
    assert client.get(VMS).status_code == 403
    assert client.get(VMS, headers={COOKIE: "another"}).status_code == 403
    assert client.get(VMS, headers={COOKIE: cookie}).status_code == 200


def test_a_made_token_is_good_as_a_password(viewer: User, operator: User, made: str) -> None:
    assert is_let_in(basic("vera@internal", made))
    assert is_let_in(bearer(log_in(password=made)))
    assert not is_let_in(basic("oskar@internal", made)), "of its person alone"
    assert ask_for_token(username="oskar", password=made).status_code == 400


def test_a_session_is_not_good_as_a_password(viewer: User) -> None:
    session = log_in()
    assert not is_let_in(basic("vera", session))
    assert ask_for_token(password=session).status_code == 400, "or it could prolong itself for ever"


@pytest.mark.parametrize("words", ["Basic", "Basic !", "Basic dmVyYQ==", "Basic a b", "Negotiate x", "Bearer"])
def test_what_is_no_password_is_401(viewer: User, words: str) -> None:
    assert not is_let_in(Client(headers={"Authorization": words}))


def test_a_pages_session_is_none_of_the_api(viewer: User) -> None:
    client = Client()
    client.force_login(viewer)
    assert not is_let_in(client)


@pytest.fixture
def guarded(viewer: User) -> User:
    """Vera, who logs in with a code from now on."""
    secret = second_factor.new_secret()
    code = second_factor.code_of(secret, second_factor.interval_at(NOON.timestamp()))
    assert actions.enable_second_factor(viewer, secret, code)
    return viewer


def test_the_password_alone_opens_nothing_for_who_logs_in_with_a_code(guarded: User) -> None:
    answer = ask_for_token()
    assert answer.status_code == 400
    assert answer.content == ask_for_token(password="wrong").content, "nobody learns that it is right"
    assert not is_let_in(basic("vera", "a password"))
    refused = Event.objects.filter(code=Code.SECOND_FACTOR_REFUSED).first()
    assert refused is not None
    assert refused.message == "Logging in as vera from 127.0.0.1 failed: right password, and no code."


def test_a_right_password_without_a_code_counts_as_guessing(guarded: User) -> None:
    for _attempt in range(guessing.PASSWORD.free):
        ask_for_token()
    assert "Retry-After" in ask_for_token().headers
    assert Attempts.objects.exists()


def test_a_token_that_they_have_made_is_enough(guarded: User) -> None:
    made = actions.make_token(guarded, "backup", timedelta(days=30))
    assert is_let_in(bearer(made))
    assert is_let_in(basic("vera", made))
    assert is_let_in(bearer(log_in(password=made)))

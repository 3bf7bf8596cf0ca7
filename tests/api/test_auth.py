"""Who asks: the token endpoint, and a token with each request. Source: REST contract, 2.1 and 2.2."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.api.auth import (
    FORM,
    GOOD,
    LOGOUT,
    NOON,
    TOKEN,
    VMS,
    ask_for_token,
    basic,
    bearer,
    codes,
    is_let_in,
    log_in,
)
from vms import actions
from vms.domain import api_tokens, guessing
from vms.engine.records import Code
from vms.models import ApiToken, Event, VirtualMachine

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_a_token_is_given_for_a_name_and_a_password(viewer: User) -> None:
    answer = ask_for_token()
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert not answer.cookies
    assert answer["Cache-Control"] == "no-store"
    sent = json.loads(answer.content)
    assert sent | {"access_token": ""} == {
        "access_token": "",
        "scope": "ovirt-app-api",
        "exp": "9223372036854775807",
        "token_type": "bearer",
    }
    assert is_let_in(bearer(sent["access_token"]))
    logged_in = Event.objects.get(code=Code.USER_LOGGED_IN)
    assert (logged_in.actor, logged_in.message) == (viewer, "vera logged in to the API from 127.0.0.1.")


def test_the_name_needs_no_domain_and_other_scopes_may_stand_beside(viewer: User) -> None:
    assert ask_for_token(username="vera", scope="ovirt-app-api ovirt-ext=token-info").status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "wrong"},
        {"username": "nobody@internal"},
        {"username": "None", "password": "None"},
        {"username": "vera@elsewhere"},
        {"username": "ve\0ra"},
        {"username": "", "password": ""},
    ],
    ids=str,
)
def test_bad_credentials_are_told_in_json(viewer: User, wrong: dict[str, str]) -> None:
    answer = ask_for_token(**wrong)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")
    sent = json.loads(answer.content)
    assert sent["error_code"] == "access_denied"
    assert sent["error"].startswith(f"Cannot authenticate user '{wrong.get('username', GOOD['username'])}': ")
    assert not ApiToken.objects.exists()


def test_the_database_is_not_asked_for_a_name_that_some_cannot_take(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert ask_for_token(username="ve\0ra").status_code == 400


@pytest.mark.parametrize("wrong", [{"grant_type": "client_credentials"}, {"scope": "openid"}, {"scope": ""}], ids=str)
def test_other_grants_and_scopes_are_refused_in_json(viewer: User, wrong: dict[str, str]) -> None:
    answer = ask_for_token(**wrong)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")
    assert json.loads(answer.content)["error_code"] == "invalid_request"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", FORM, 400),
        (b"username=\xff", FORM, 400),
        (b"&".join(b"a%d=1" % number for number in range(30)), FORM, 400),
        (b"username=" + b"a" * 300_000, FORM, 413),
        (b"{}", "application/json", 415),
        (b"<a/>", "application/xml", 415),
    ],
    ids=["empty", "no text", "fields", "long", "json", "xml"],
)
@pytest.mark.parametrize("address", [TOKEN, LOGOUT])
def test_a_body_that_is_no_form_is_refused_in_json(
    viewer: User, address: str, body: bytes, content_type: str, status: int
) -> None:
    answer = Client().post(address, body, content_type=content_type, headers={"Accept": "application/xml"})
    empty = address == LOGOUT and not body
    assert (answer.status_code, answer["Content-Type"]) == (200 if empty else status, "application/json")
    assert ("error" in json.loads(answer.content)) is not empty


@pytest.mark.parametrize("method", ["get", "put", "delete", "options"])
@pytest.mark.parametrize("address", [TOKEN, LOGOUT, f"{TOKEN}/", f"{LOGOUT}/"])
def test_the_wrong_method_is_told_in_json(address: str, method: str) -> None:
    answer = getattr(Client(), method)(address)
    assert (answer.status_code, answer["Content-Type"]) == (405, "application/json")
    assert json.loads(answer.content)["error_code"] == "invalid_request"


def test_neither_asks_for_djangos_csrf_token(viewer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post(TOKEN, urlencode(GOOD), content_type=FORM).status_code == 200
    assert client.post(LOGOUT, "token=x", content_type=FORM).status_code == 200


def test_guessing_takes_ever_longer_and_tokens_are_looked_at_all_the_same(
    viewer: User, made: str, clock: time_machine.Traveller
) -> None:
    for _attempt in range(guessing.PASSWORD.free):
        assert "incorrect" in json.loads(ask_for_token(password="wrong").content)["error"]
    answer = ask_for_token()
    assert (answer.status_code, answer["Retry-After"]) == (400, "1")
    assert "Try again in 1 s." in json.loads(answer.content)["error"], "not even the right one is looked at"
    assert not is_let_in(basic("vera", "a password")), "nor is it in another place"
    assert is_let_in(basic("vera", made))
    clock.shift(1.1)
    assert ask_for_token().status_code == 200
    assert codes().count(Code.LOGIN_FAILED) == guessing.PASSWORD.free


@pytest.mark.parametrize("wrong", ["", "x", "vmp_", "None", "ä", "two words"])
def test_an_unknown_token_is_401_without_a_body(viewer: User, wrong: str) -> None:
    assert not is_let_in(bearer(wrong))


def test_the_database_has_only_digests(viewer: User, made: str) -> None:
    secrets = (made, log_in())
    assert {token.digest for token in ApiToken.objects.all()} == {api_tokens.digest_of(each) for each in secrets}
    kept = json.dumps([list(map(str, row)) for row in ApiToken.objects.values_list()])
    assert not any(secret in kept or secret.removeprefix("vmp_") in kept for secret in secrets)
    assert not any(
        secret in message for secret in secrets for message in Event.objects.values_list("message", flat=True)
    )


def test_a_session_lasts_as_long_as_it_is_used_and_a_day_at_most(viewer: User, clock: time_machine.Traveller) -> None:
    client = bearer(log_in())
    for _pause in range(20):
        clock.shift(timedelta(minutes=58))
        assert is_let_in(client)
    clock.shift(timedelta(hours=5))
    assert not is_let_in(client)
    clock.move_to(NOON)
    client = bearer(log_in())
    while (now := datetime.now(UTC)) < NOON + timedelta(days=1):
        assert is_let_in(client), now
        clock.shift(timedelta(minutes=30))
    assert not is_let_in(client)


def test_a_session_that_nobody_uses_ends_after_an_hour(viewer: User, clock: time_machine.Traveller) -> None:
    client = bearer(log_in())
    clock.shift(timedelta(minutes=61))
    assert not is_let_in(client)


def test_a_made_token_needs_no_use_and_ends_on_its_day(viewer: User, made: str, clock: time_machine.Traveller) -> None:
    clock.shift(timedelta(days=30, seconds=-1))
    assert is_let_in(bearer(made))
    clock.shift(1)
    assert not is_let_in(bearer(made))


def test_use_is_written_down_once_a_minute(viewer: User, made: str, clock: time_machine.Traveller) -> None:
    def queries_of(client: Client) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert is_let_in(client)
        return [query["sql"] for query in captured]

    client = bearer(made)
    first = queries_of(client)
    assert sum(sql.startswith("UPDATE") for sql in first) == 1
    clock.shift(59)
    second = queries_of(client)
    assert not any(sql.startswith(("UPDATE", "INSERT", "DELETE")) for sql in second)
    assert sum('"vms_apitoken"' in sql for sql in second) == 1, "one question says who it is"
    assert ApiToken.objects.get().last_used_at == NOON
    clock.shift(1)
    queries_of(client)
    assert ApiToken.objects.get().last_used_at == NOON + timedelta(minutes=1)


def test_where_it_was_used_from_is_kept(viewer: User, made: str) -> None:
    bearer(made).get(VMS, REMOTE_ADDR="192.0.2.7")
    assert ApiToken.objects.get().address == "192.0.2.7"


def test_a_token_may_what_its_person_may(viewer: User, operator: User, vm: VirtualMachine) -> None:
    reboot = f"{VMS}/{vm.pk}/reboot"
    looks = bearer(actions.make_token(viewer, "looks", timedelta(days=30)))
    acts = bearer(actions.make_token(operator, "acts", timedelta(days=30)))
    assert looks.post(reboot, "<action/>", content_type="application/xml").status_code == 403
    assert acts.post(reboot, "<action/>", content_type="application/xml").status_code == 200

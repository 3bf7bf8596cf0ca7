"""What ends tokens and sessions of the API. Source: REST contract, 2.2."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.management import call_command

from tests.api.auth import (
    ask_for_token,
    bearer,
    codes,
    is_let_in,
    log_in,
    log_out,
)
from vms import actions
from vms.actions import signing_in
from vms.engine import retention
from vms.engine.records import Code
from vms.models import ApiToken, Event

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_logging_out_ends_a_session_and_what_is_none_has_ended(viewer: User) -> None:
    token = log_in()
    for _time in range(2):
        answer = log_out(token)
        assert (answer.status_code, answer["Content-Type"], answer.content) == (200, "application/json", b"{}")
        assert not is_let_in(bearer(token))
    assert codes().count(Code.USER_LOGGED_OUT) == 1


def test_logging_out_does_not_revoke_what_somebody_has_made(viewer: User, made: str) -> None:
    assert log_out(made).content == b"{}"
    assert is_let_in(bearer(made))


def test_revoking_a_token_ends_the_sessions_that_were_begun_with_it(viewer: User, made: str) -> None:
    through, own = log_in(password=made), log_in()
    actions.revoke_token(viewer, ApiToken.objects.get(kind=ApiToken.Kind.TOKEN))
    assert [is_let_in(bearer(each)) for each in (made, through, own)] == [False, False, True]
    assert Event.objects.get(code=Code.API_TOKEN_REVOKED).message == "vera revoked the API token backup."


def test_nobody_revokes_another_persons(viewer: User, admin: User, made: str) -> None:
    with pytest.raises(PermissionDenied):
        actions.revoke_token(admin, ApiToken.objects.get())
    assert is_let_in(bearer(made))


def test_a_session_ends_no_later_than_its_token(viewer: User, made: str, clock: time_machine.Traveller) -> None:
    clock.shift(timedelta(days=30, minutes=-10))
    client = bearer(log_in(password=made))
    assert is_let_in(client)
    clock.shift(timedelta(minutes=10))
    assert not is_let_in(client)


@pytest.mark.parametrize("save", [["password"], None])
def test_another_password_ends_all(viewer: User, made: str, save: list[str] | None) -> None:
    clients = [bearer(made), bearer(log_in())]
    viewer.set_password("another password")
    viewer.save(update_fields=save)
    assert not any(map(is_let_in, clients))
    viewer.set_password("a password")
    viewer.save()
    assert not any(map(is_let_in, clients)), "and they do not come back with the old one"


def test_taking_the_password_away_ends_all(viewer: User, made: str) -> None:
    viewer.set_unusable_password()
    viewer.save()
    assert not is_let_in(bearer(made))


def test_ending_ones_other_sessions_ends_all(viewer: User, made: str) -> None:
    actions.end_other_sessions(viewer, "a password")
    assert not is_let_in(bearer(made))


def test_who_is_deactivated_has_none_left(viewer: User, admin: User, made: str) -> None:
    others = bearer(actions.make_token(admin, "other", timedelta(days=30)))
    viewer.is_active = False
    viewer.save()
    assert not is_let_in(bearer(made))
    viewer.is_active = True
    viewer.save()
    assert not is_let_in(bearer(made)), "for good"
    assert is_let_in(others)


def test_who_is_deactivated_past_djangos_signals_is_refused_too(viewer: User, made: str) -> None:
    User.objects.filter(pk=viewer.pk).update(is_active=False)
    assert not is_let_in(bearer(made))


def old_fashioned(person: User) -> None:
    """Store somebody's password as an older Django did, which the next one stores anew at the first chance."""
    person.password = make_password("a password", hasher="old")
    person.save()


class _Old(PBKDF2PasswordHasher):
    algorithm = "old"
    iterations = 1


@pytest.fixture
def _updated(settings: Any) -> None:
    settings.PASSWORD_HASHERS = [*settings.PASSWORD_HASHERS, f"{__name__}._Old"]


@pytest.mark.usefixtures("_updated")
@pytest.mark.parametrize("way", ["endpoint", "command"])
def test_tokens_outlive_that_django_stores_the_same_password_in_another_way(
    viewer: User, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_fashioned(viewer)
    client = bearer(actions.make_token(viewer, "backup", timedelta(days=30)))
    if way == "endpoint":
        assert ask_for_token().status_code == 200
    else:
        monkeypatch.setenv("PORTAL_ADMIN_PASSWORD", "a password")
        call_command("ensure_admin", username="vera")
    stored = viewer.password
    viewer.refresh_from_db()
    assert viewer.password != stored, "it was stored in another way"
    assert is_let_in(client)


def test_tokens_do_not_move_to_a_password_that_only_came_meanwhile(viewer: User, made: str) -> None:
    before = User.objects.get(pk=viewer.pk)
    viewer.set_password("another password")
    viewer.save()
    signing_in._keep_tokens(before, viewer.password, "another password")
    assert not is_let_in(bearer(made))


def test_what_is_over_is_cleared_away(viewer: User, made: str, clock: time_machine.Traveller) -> None:
    actions.make_token(viewer, "longer", timedelta(days=90))
    log_in(password=made)
    clock.shift(timedelta(days=31))
    assert retention.clean_up().tokens == 2, "a token, and the session that was begun with it"
    assert [token.name for token in ApiToken.objects.all()] == ["longer"]


def test_beginning_a_session_clears_ones_own_that_are_over(viewer: User, clock: time_machine.Traveller) -> None:
    log_in()
    clock.shift(timedelta(hours=2))
    log_in()
    assert ApiToken.objects.count() == 1

"""Two-factor login: switching it on and off, both steps of the login, and guessing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn
from vms import actions
from vms.domain import guessing, second_factor
from vms.engine.records import Code
from vms.models import Event, RecoveryCode, SecondFactor

LOGIN, CODE, ACCOUNT = reverse("login"), reverse("login_code"), reverse("account")
ENABLE, DISABLE, RENEW = reverse("two_factor_enable"), reverse("two_factor_disable"), reverse("recovery_codes")
PASSWORD = {"username": "vera", "password": "a password"}
NOON = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)


def code_at(secret: str, moment: datetime) -> str:
    """Return what an app shows at a moment."""
    return second_factor.code_of(secret, second_factor.interval_at(moment.timestamp()))


def is_in(client: Client) -> bool:
    """Say whether somebody is logged in."""
    return client.get(ACCOUNT).status_code == 200


def events_of(person: User) -> list[int]:
    """Return the codes of somebody's events, oldest first."""
    return list(Event.objects.filter(actor=person).order_by("id").values_list("code", flat=True))


class App:
    """Vera's authenticator app, and her slip of paper."""

    def __init__(self, vera: User) -> None:
        self.secret = second_factor.new_secret()
        codes = actions.enable_second_factor(vera, self.secret, code_at(self.secret, NOON))
        assert codes is not None
        self.recovery_codes = codes

    def code(self, after: float = 30) -> str:
        """Return what it shows some seconds after it was set up."""
        return code_at(self.secret, NOON + timedelta(seconds=after))


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands still at noon, until it is moved."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def app(viewer: User, clock: time_machine.Traveller) -> App:
    """Two-factor login of Vera's; half a minute later, so that there is a code that was not used."""
    app = App(viewer)
    clock.shift(30)
    return app


def try_code(client: Client, code: str) -> Any:
    """Send a code."""
    return client.post(CODE, {"code": code})


def test_it_is_switched_on_by_a_code_and_the_password(
    log_in: LogIn, viewer: User, clock: time_machine.Traveller
) -> None:
    client, elsewhere = log_in(viewer), log_in(viewer)
    offered = client.get(ENABLE)
    secret = offered.context["secret"].replace(" ", "")
    assert 'src="data:image/svg+xml' in offered.content.decode()
    code = code_at(secret, NOON)
    for wrong in ({"code": "000000", "password": "a password"}, {"code": code, "password": "not it"}):
        assert client.post(ENABLE, wrong).status_code == 422
        assert not SecondFactor.objects.exists()
    assert client.get(ENABLE).context["secret"] == offered.context["secret"], "the app keeps what it was given"
    shown = client.post(ENABLE, {"code": code, "password": "a password"})
    codes = shown.context["codes"]
    assert len(codes) == 10
    assert all(code in shown.content.decode() for code in codes)
    assert not set(codes) & set(RecoveryCode.objects.values_list("digest", flat=True))
    assert "10 recovery codes are left" in client.get(ACCOUNT).content.decode()
    assert not is_in(elsewhere), "sessions that were opened without a code have ended"
    assert client.get(ENABLE).headers["Location"] == ACCOUNT, "and nothing is shown again"
    assert Code.SECOND_FACTOR_ENABLED in events_of(viewer)


def test_the_password_alone_logs_nobody_in(client: Client, viewer: User, app: App) -> None:
    wanted = reverse("event_list")
    answer = client.post(LOGIN, PASSWORD | {"next": wanted})
    assert answer.headers["Location"] == CODE
    assert not is_in(client)
    assert client.get(wanted).status_code == 302
    assert Code.USER_LOGGED_IN not in events_of(viewer)
    assert try_code(client, app.code()).headers["Location"] == wanted
    assert is_in(client)
    assert events_of(viewer)[-1] == Code.USER_LOGGED_IN


def test_a_wrong_code_says_so_and_is_recorded(client: Client, viewer: User, app: App) -> None:
    client.post(LOGIN, PASSWORD)
    wrong = "000000" if app.code() != "000000" else "000001"
    answer = try_code(client, wrong)
    assert answer.status_code == 422
    assert "not right" in answer.content.decode()
    assert events_of(viewer)[-1] == Code.SECOND_FACTOR_REFUSED
    assert not is_in(client)


def test_no_code_is_good_twice(client: Client, viewer: User, app: App) -> None:
    for expected in (302, 422):
        client.post(LOGIN, PASSWORD)
        assert try_code(client, app.code()).status_code == expected
        client.logout()


def test_a_recovery_code_is_good_once(client: Client, viewer: User, app: App) -> None:
    for expected in (302, 422):
        client.post(LOGIN, PASSWORD)
        assert try_code(client, app.recovery_codes[3].upper()).status_code == expected
        client.logout()
    assert RecoveryCode.objects.filter(user=viewer).count() == 9
    assert Code.RECOVERY_CODE_USED in events_of(viewer)


def test_the_second_step_needs_the_first_and_not_long_ago(
    client: Client, viewer: User, app: App, clock: time_machine.Traveller
) -> None:
    assert try_code(client, app.code()).headers["Location"] == LOGIN
    client.post(LOGIN, PASSWORD)
    clock.shift(601)
    assert try_code(client, app.code(631)).headers["Location"] == LOGIN
    assert not is_in(client)


def test_a_password_that_was_changed_meanwhile_is_not_enough(client: Client, viewer: User, app: App) -> None:
    client.post(LOGIN, PASSWORD)
    viewer.set_password("another password")
    viewer.save()
    assert try_code(client, app.code()).headers["Location"] == LOGIN


def test_django_admin_has_no_login_of_its_own(client: Client, admin: User, viewer: User) -> None:
    admin_login = reverse("admin:login")
    sent = {"username": "admin", "password": "a password"}
    assert client.post(admin_login, sent).status_code == 405
    leads = client.get(reverse("admin:index"), follow=True)
    assert leads.redirect_chain[-1][0].startswith(LOGIN)
    client.force_login(viewer)
    assert client.get(admin_login).status_code == 403, "and nobody is sent round in circles"


def test_guessing_codes_takes_ever_longer(
    client: Client, viewer: User, app: App, clock: time_machine.Traveller
) -> None:
    client.post(LOGIN, PASSWORD)
    for _attempt in range(guessing.CODE.free):
        assert "not right" in try_code(client, "no code").content.decode()
    assert "Wait 1 second," in try_code(client, app.code()).content.decode(), "not even the right one is looked at"
    clock.shift(1.1)
    assert "not right" in try_code(client, "no code").content.decode()
    assert "Wait 2 seconds," in try_code(client, app.code()).content.decode()
    clock.shift(2.1)
    assert try_code(client, app.code()).status_code == 302


def test_guessing_passwords_takes_ever_longer_but_only_where_it_is_done(
    client: Client, viewer: User, clock: time_machine.Traveller
) -> None:
    for _attempt in range(guessing.PASSWORD.free):
        client.post(LOGIN, PASSWORD | {"password": "wrong"})
    assert "Wait 1 second," in client.post(LOGIN, PASSWORD).content.decode()
    assert events_of(viewer) == [Code.LOGIN_FAILED] * guessing.PASSWORD.free
    assert Client(REMOTE_ADDR="192.0.2.7").post(LOGIN, PASSWORD).status_code == 302
    clock.shift(1.1)
    assert client.post(LOGIN, PASSWORD).status_code == 302
    client.logout()
    assert client.post(LOGIN, PASSWORD).status_code == 302, "what was right is forgotten"


def test_a_name_that_nobody_has_is_in_no_event(client: Client, db: None) -> None:
    client.post(LOGIN, {"username": "hunter2", "password": "vera"})
    assert not Event.objects.exists()


@pytest.mark.parametrize("url", [DISABLE, RENEW])
def test_changing_it_needs_the_password(log_in: LogIn, viewer: User, app: App, url: str) -> None:
    client = log_in(viewer)
    assert client.post(url, {"password": "wrong"}).status_code == 422
    kept = set(RecoveryCode.objects.values_list("digest", flat=True))
    assert kept == {second_factor.digest_of(code) for code in app.recovery_codes}
    client.post(url, {"password": "a password"})
    now = set(RecoveryCode.objects.values_list("digest", flat=True))
    assert not kept & now
    assert SecondFactor.objects.exists() is (url == RENEW)
    assert len(now) == (10 if url == RENEW else 0)


def test_once_it_is_off_the_password_is_enough(client: Client, log_in: LogIn, viewer: User, app: App) -> None:
    log_in(viewer).post(DISABLE, {"password": "a password"})
    assert client.post(LOGIN, PASSWORD).headers["Location"] == reverse("vm_list")
    assert Code.SECOND_FACTOR_DISABLED in events_of(viewer)


def test_an_administrator_helps_who_has_lost_everything(log_in: LogIn, viewer: User, admin: User, app: App) -> None:
    admin.is_staff = admin.is_superuser = True
    admin.save()
    client = log_in(admin)
    url = reverse("admin:vms_secondfactor_change", args=[viewer.pk])
    assert app.secret not in client.get(url).content.decode()
    client.post(reverse("admin:vms_secondfactor_delete", args=[viewer.pk]), {"post": "yes"})
    assert not SecondFactor.objects.exists()
    assert not RecoveryCode.objects.exists()
    assert events_of(admin)[-1] == Code.SECOND_FACTOR_DISABLED


def test_whoever_has_the_database_helps_the_administrator(viewer: User, app: App) -> None:
    call_command("remove_second_factor", "vera")
    assert not SecondFactor.objects.exists()
    with pytest.raises(CommandError, match="Nobody of this name"):
        call_command("remove_second_factor", "vera")


def test_other_sessions_end_by_a_button_and_the_password(log_in: LogIn, viewer: User) -> None:
    here, elsewhere = log_in(viewer), log_in(viewer)
    url = reverse("end_sessions")
    assert here.post(url, {"password": "wrong"}).status_code == 422
    assert is_in(elsewhere)
    here.post(url, {"password": "a password"})
    assert is_in(here)
    assert not is_in(elsewhere)
    viewer.refresh_from_db()
    assert viewer.check_password("a password")

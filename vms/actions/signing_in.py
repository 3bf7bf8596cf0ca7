"""Logging in by password and code, slowed down for whoever guesses; and ending one's other sessions.

An attempt is counted before it is looked at, in a transaction of its own: attempts that are made side by side count
one after the other.
"""

from __future__ import annotations

import hashlib
import math
from datetime import timedelta
from typing import NamedTuple

from django.contrib.auth import authenticate
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from vms import permissions
from vms.domain import api_tokens, guessing, second_factor
from vms.engine.records import Code, record
from vms.models import ApiToken, Attempts, Event, RecoveryCode, SecondFactor


class TooSoon(Exception):
    """Somebody has tried too often.

    Attributes:
        wait: Whole seconds until the next attempt is looked at.
    """

    def __init__(self, wait: timedelta) -> None:
        super().__init__("tried too often")
        self.wait = max(1, math.ceil(wait.total_seconds()))


class _Guess(NamedTuple):
    """What is guessed, and how fast it may be."""

    what: str
    limit: guessing.Limit

    @property
    def digest(self) -> str:
        """What its attempts are kept under."""
        return hashlib.sha256(self.what.encode()).hexdigest()


def person_of(request: HttpRequest, name: str, password: str, *, code_follows: bool = True) -> User | None:
    """Return who has this name and password; None for nobody who may log in. Failures are recorded.

    Args:
        code_follows: False where nobody is asked for a code: who logs in with one is refused, however right the
            password is.

    Raises:
        TooSoon: The name's password was tried too often.
    """
    guess = _password_guess(name, address_of(request))
    _count(guess)
    meant = User.objects.filter(username=name).first()
    person = authenticate(request, username=name, password=password)
    if not isinstance(person, User):
        # Names that nobody has are in no event: anybody could fill the history with them.
        if meant is not None:
            _record_failure(Code.LOGIN_FAILED, meant, f"from {address_of(request)} failed: wrong password")
        return None
    if meant is not None:
        _keep_tokens(meant, person.password, password)
    if not code_follows and needs_code(person):
        what = f"from {address_of(request)} failed: right password, and no code"
        _record_failure(Code.SECOND_FACTOR_REFUSED, person, what)
        return None
    _forget(guess)
    return person


def password_is(request: HttpRequest, person: User, password: str) -> bool:
    """Say whether this is the password of somebody who is logged in already.

    Raises:
        TooSoon: It was tried too often.
    """
    guess = _password_guess(person.get_username(), address_of(request))
    _count(guess)
    right = is_password_of(person, password)
    if right:
        _forget(guess)
    return right


def is_password_of(person: User, password: str) -> bool:
    """Say whether this is somebody's password. Attempts are not counted: for those who have no reason to guess."""
    before = User(pk=person.pk, password=person.password)
    right = person.check_password(password)
    _keep_tokens(before, person.password, password)
    return right


def needs_code(person: User) -> bool:
    """Say whether somebody logs in with a code, too."""
    return SecondFactor.objects.filter(user=person).exists()


def code_is(request: HttpRequest, person: User, typed: str) -> bool:
    """Say whether this is somebody's code now, or one of their recovery codes, and use it up. Failures are recorded.

    Raises:
        TooSoon: Codes were tried too often.
    """
    guess = _Guess(f"code {person.pk}", guessing.CODE)
    _count(guess)
    if _take_code(person, typed) or _take_recovery_code(person, typed):
        _forget(guess)
        return True
    _record_failure(
        Code.SECOND_FACTOR_REFUSED, person, f"from {address_of(request)} failed: right password, wrong code"
    )
    return False


@transaction.atomic
def end_other_sessions(person: User, password: str) -> None:
    """End every session of somebody, and their tokens of the API; the caller renews the session that is to stay.

    All are bound to what is stored of the password. It is stored anew, with another salt.

    Args:
        password: The right one.

    Raises:
        PermissionDenied: It is not, or the person was deactivated.
    """
    permissions.require(person.is_active and person.check_password(password))
    person.set_password(password)
    person.save(update_fields=["password"])
    record(Code.SESSIONS_ENDED, f"{person.get_username()} ended all other sessions.", actor=person)


def _take_code(person: User, typed: str) -> bool:
    factor = SecondFactor.objects.filter(user=person).first()
    if factor is None:
        return False
    now = timezone.now().timestamp()
    interval = second_factor.matching_interval(factor.secret, typed, now, after=factor.used_interval)
    # The condition lets one of two through that come with the same code.
    unused = SecondFactor.objects.filter(user=person, secret=factor.secret, used_interval=factor.used_interval)
    return interval is not None and bool(unused.update(used_interval=interval))


@transaction.atomic
def _take_recovery_code(person: User, typed: str) -> bool:
    used, _each = RecoveryCode.objects.filter(user=person, digest=second_factor.digest_of(typed)).delete()
    if used:
        left = RecoveryCode.objects.filter(user=person).count()
        message = f"{person.get_username()} used a recovery code; {left} are left."
        record(Code.RECOVERY_CODE_USED, message, severity=Event.Severity.WARNING, actor=person)
    return bool(used)


def _keep_tokens(before: User, stored: str, password: str) -> None:
    """Bind tokens anew where Django has just stored the same password in another way, as it does after an update."""
    if stored != before.password and check_password(password, before.password):
        ApiToken.objects.of(before).update(bound_to=api_tokens.binding(stored))


def _record_failure(code: Code, meant: User, what: str) -> None:
    # In the name of the one who was meant, as oVirt does: those are the events that concern them.
    record(code, f"Logging in as {meant.get_username()} {what}.", severity=Event.Severity.WARNING, actor=meant)


def _password_guess(name: str, address: str) -> _Guess:
    return _Guess(f"password {name.casefold()} {address}", guessing.PASSWORD)


def address_of(request: HttpRequest) -> str:
    """Return where a request comes from."""
    return str(request.META.get("REMOTE_ADDR", ""))


@transaction.atomic
def _count(guess: _Guess) -> None:
    """Count an attempt.

    Raises:
        TooSoon: It is not to be looked at, and does not count.
    """
    now = timezone.now()
    Attempts.objects.filter(last_at__lt=now - guessing.FORGOTTEN_AFTER).delete()
    row, _made = Attempts.objects.select_for_update().get_or_create(
        key=guess.digest, defaults={"not_before": now, "last_at": now}
    )
    if row.not_before > now:
        raise TooSoon(row.not_before - now)
    row.count += 1
    row.last_at, row.not_before = now, now + guess.limit.pause_after(row.count)
    row.save()


def _forget(guess: _Guess) -> None:
    Attempts.objects.filter(key=guess.digest).delete()

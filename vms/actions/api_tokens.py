"""Tokens of the API: made and revoked by the people they stand for, used by programs, and sessions begun and ended.

Whoever logs in with a code has to make a token for a program: a program is asked for none, and their password alone
opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from vms import permissions
from vms.actions.signing_in import address_of, person_of
from vms.domain import api_tokens
from vms.engine.records import Code, record
from vms.models import ApiToken

Kind = ApiToken.Kind

_ADDRESS, _NAME = 45, 100


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a program acts for.

    Attributes:
        token: What it has shown; None where that was a password.
    """

    person: User
    token: ApiToken | None = None


def caller_of(request: HttpRequest, name: str, secret: str) -> Caller | None:
    """Return who has this name, and this password or a token that they have made; None for nobody.

    Raises:
        TooSoon: The name's password was tried too often. A token is not guessed, and always looked at.
    """
    # Names that no database takes.
    if "\0" in name:
        return None
    token = token_of(request, secret, Kind.TOKEN)
    if token is not None and token.person.get_username() == name:
        return Caller(token.person, token)
    person = person_of(request, name, secret, code_follows=False)
    return Caller(person) if person is not None else None


def token_of(request: HttpRequest, secret: str, *kinds: Kind) -> ApiToken | None:
    """Return the token of one of these kinds that this is the secret of, and note that it is used.

    None where there is none, or its time is over, or its person was deactivated or has another password now.
    """
    found = ApiToken.objects.lasting().filter(digest=api_tokens.digest_of(secret), kind__in=kinds)
    token = found.select_related("person").first()
    if token is None or not token.holds:
        return None
    _note(token, address_of(request))
    return token


@transaction.atomic
def make_token(person: User, name: str, lifetime: timedelta) -> str:
    """Make a token for a person's programs, and return its secret, which nobody can be told again.

    Raises:
        PermissionDenied: Somebody who was deactivated.
    """
    permissions.require(person.is_active)
    until = timezone.now() + lifetime
    secret = _make(person, Kind.TOKEN, name=name, good_until=until, expires_at=until)
    record(
        Code.API_TOKEN_MADE,
        f"{person.get_username()} made the API token {name}, good until {until:%Y-%m-%d}.",
        actor=person,
    )
    return secret


@transaction.atomic
def revoke_token(person: User, token: ApiToken) -> None:
    """End a token or a session of one's own, and the sessions that were begun with it.

    Raises:
        PermissionDenied: It is somebody else's.
    """
    permissions.require(person.is_active and token.person_id == person.pk)
    token.delete()
    kind = "API token" if token.kind == Kind.TOKEN else "API session"
    record(Code.API_TOKEN_REVOKED, f"{person.get_username()} revoked the {kind} {token.name}.", actor=person)


@transaction.atomic
def log_in(request: HttpRequest, caller: Caller) -> str:
    """Begin a session, and return its secret. An event says so, as it does where people log in."""
    person = caller.person
    secret = begin_session(request, caller)
    record(
        Code.USER_LOGGED_IN, f"{person.get_username()} logged in to the API from {address_of(request)}.", actor=person
    )
    return secret


@transaction.atomic
def begin_session(request: HttpRequest, caller: Caller, *, wants_header: bool = False) -> str:
    """Begin a session without an event, for a program that shows name and password each time it comes.

    It ends with the token that it was begun with, and no later.
    """
    now = timezone.now()
    longest = now + api_tokens.SESSION_LONGEST
    if caller.token is not None:
        longest = min(longest, caller.token.expires_at)
    # Somebody's own that are over go now, so that they never are many.
    ApiToken.objects.filter(person=caller.person, good_until__lte=now).delete()
    return _make(
        caller.person,
        Kind.SESSION,
        name=request.headers.get("User-Agent", "")[:_NAME],
        begun_with=caller.token,
        good_until=api_tokens.session_end(now, longest),
        expires_at=longest,
        last_used_at=now,
        address=address_of(request)[:_ADDRESS],
        wants_header=wants_header,
    )


@transaction.atomic
def log_out(secret: str) -> None:
    """End a session. A token that somebody has made stays: they revoke it, and no program by mistake."""
    session = ApiToken.objects.filter(digest=api_tokens.digest_of(secret), kind=Kind.SESSION)
    token = session.select_related("person").first()
    if token is not None:
        token.delete()
        record(Code.USER_LOGGED_OUT, f"{token.person.get_username()} logged out of the API.", actor=token.person)


def _make(person: User, kind: Kind, *, good_until: datetime, expires_at: datetime, **fields: Any) -> str:
    secret = api_tokens.new_secret()
    ApiToken.objects.create(
        person=person,
        kind=kind,
        digest=api_tokens.digest_of(secret),
        bound_to=api_tokens.binding(person.password),
        good_until=good_until,
        expires_at=expires_at,
        **fields,
    )
    return secret


def _note(token: ApiToken, address: str) -> None:
    now = timezone.now()
    if not api_tokens.is_worth_noting(token.last_used_at, now):
        return
    until = token.good_until
    if token.kind == Kind.SESSION:
        until = api_tokens.session_end(now, token.expires_at)
    # The condition lets one of those through that use it at the same time.
    unnoted = ApiToken.objects.filter(pk=token.pk, last_used_at=token.last_used_at)
    unnoted.update(last_used_at=now, good_until=until, address=address[:_ADDRESS])

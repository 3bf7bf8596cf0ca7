"""Who has sent a request that Django itself does not answer: the stream's and the console's are ASGI of their own."""

from __future__ import annotations

from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.crypto import constant_time_compare

#: Databases take no more parameters than so many in one question, some of them.
_AT_ONCE = 500


def cookies_of(header: str) -> dict[str, str]:
    """Return the cookies of a request by their names; none where the header cannot be read."""
    cookies = SimpleCookie()
    try:
        cookies.load(header)
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in cookies.items()}


def session_of(cookies: dict[str, str]) -> str | None:
    """Return the key of the session that a request belongs to, as its cookies say."""
    return cookies.get(settings.SESSION_COOKIE_NAME)


def user_of(session: str) -> User | None:
    """Return who is logged in with a session; None for nobody. Asks the database."""
    return users_of([session]).get(session)


def users_of(sessions: Iterable[str]) -> dict[str, User]:
    """Return who is logged in with each of these sessions; those of nobody are left out.

    The same checks as Django's `get_user`, which asks for one at a time: by two queries for every few hundred.
    """
    wanted, found = list(sessions), {}
    for start in range(0, len(wanted), _AT_ONCE):
        told = _stored(wanted[start : start + _AT_ONCE])
        ids = {data[SESSION_KEY] for data in told.values()}
        users = {str(user.pk): user for user in User.objects.select_related("preference").filter(pk__in=ids)}
        for session, data in told.items():
            user = users.get(data[SESSION_KEY])
            if user is not None and user.is_active and _began_with_password_of(user, data):
                found[session] = user
    return found


def _stored(sessions: list[str]) -> dict[str, dict[str, Any]]:
    """Return what is stored of those sessions that have not expired, and in which somebody is logged in."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    rows = store.get_model_class().objects.filter(pk__in=sessions, expire_date__gt=timezone.now())
    stored = {row.pk: store(row.pk).decode(row.session_data) for row in rows}
    return {
        session: data
        for session, data in stored.items()
        if SESSION_KEY in data and data.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    }


def _began_with_password_of(user: User, data: dict[str, Any]) -> bool:
    """Say whether a session began with the password that its person still has: another one ends it."""
    known = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(data.get(HASH_SESSION_KEY, ""), each) for each in known)

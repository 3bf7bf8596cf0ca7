"""Who has sent a request that Django itself does not answer: the stream's and the console's are ASGI of their own."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.http import HttpRequest


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
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session)
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None

"""Who listens to the stream: known by the session's cookie, and looked at again while the stream is open."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import translation

from vms import permissions, sessions
from vms.models import Preference
from vms.roles import access_of


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person with an open page.

    Attributes:
        user: With their permissions read already: nothing here asks the database.
        session: The key of the session that the stream was opened with.
        browser_language: What their browser asks for.
        language: What rows are written in: what they prefer, else what their browser asks for.
        kind: What rows depend on; whoever is of the same kind is shown the same.
        sees_all: No VM is hidden from them.
    """

    user: User
    session: str
    browser_language: str
    language: str
    kind: Hashable
    sees_all: bool


def find(headers: Mapping[str, str]) -> Viewer | None:
    """Return who has sent a request with these headers; None for nobody who may see any VM. Asks the database."""
    cookies = sessions.cookies_of(headers.get("cookie", ""))
    session = sessions.session_of(cookies)
    if session is None:
        return None
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get("accept-language", "")
    request.COOKIES = cookies
    return _of_session(session, translation.get_language_from_request(request))


def still(viewer: Viewer) -> Viewer | None:
    """Return a viewer as they are now; None when they have logged out, or may see nothing any more."""
    return _of_session(viewer.session, viewer.browser_language)


def _of_session(key: str, browser_language: str) -> Viewer | None:
    user = sessions.user_of(key)
    if user is None or not permissions.may_view(user):
        return None
    access = access_of(user)
    # Roles on some VMs only are nobody else's.
    kind = user.pk if access.on_some else (access.everything, access.everywhere)
    language = Preference.of(user).language or browser_language
    return Viewer(user, key, browser_language, language, (language, kind), sees_all=not access.on_some)

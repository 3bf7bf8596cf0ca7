"""Who listens to the stream: known by the session's cookie, and looked at again while the stream is open."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import translation

from vms import permissions, roles, sessions
from vms.models import Preference


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person with an open page.

    Attributes:
        user: With what they may do read already: nothing here asks the database.
        session: The key of the session that the stream was opened with.
        asks_for: The language that their browser asks for.
        language: What rows are written in.
        kind: What rows depend on; whoever is of the same kind is shown the same.
        sees_all: No VM is hidden from them.
    """

    user: User
    session: str
    asks_for: str
    language: str
    kind: Hashable
    sees_all: bool


def find(headers: Mapping[str, str]) -> Viewer | None:
    """Return who has sent a request with these headers; None for nobody who may see any VM. Asks the database."""
    cookies = sessions.cookies_of(headers.get("cookie", ""))
    session = sessions.session_of(cookies)
    if session is None:
        return None
    user = sessions.user_of(session)
    if user is None:
        return None
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = headers.get("accept-language", "")
    request.COOKIES = cookies
    return _viewer(user, session, translation.get_language_from_request(request))


def again(viewers: Iterable[Viewer]) -> dict[Viewer, Viewer | None]:
    """Return each of these viewers as they are now; None for who has logged out, or may see nothing any more.

    Asks the database a few times, however many they are.
    """
    known = list(viewers)
    users = sessions.users_of({viewer.session for viewer in known})
    roles.read_together(users.values())
    return {
        viewer: _viewer(users[viewer.session], viewer.session, viewer.asks_for) if viewer.session in users else None
        for viewer in known
    }


def _viewer(user: User, session: str, asks_for: str) -> Viewer | None:
    if not permissions.may_view(user):
        return None
    language = Preference.of(user).language or asks_for
    kind = (language, roles.access_of(user).kind)
    return Viewer(user, session, asks_for, language, kind, sees_all=permissions.sees_all(user))

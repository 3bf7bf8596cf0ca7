"""Who asks: by a token, by name and password, or by the cookie of a session of the API.

A session of the pages is none here: what a page's cookie may do, a page asks for. Source: REST contract, 2.
"""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import constant_time_compare
from rest_framework.authentication import BaseAuthentication, BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied, UnsupportedMediaType
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from vms import actions
from vms.api import json, xml
from vms.api.declare import BASE
from vms.models import ApiToken

#: Clients write a name with its domain; people of the portal's own are of this one.
DOMAIN = "internal"
COOKIE = "JSESSIONID"

_TOKEN, _SESSION = ApiToken.Kind.TOKEN, ApiToken.Kind.SESSION
#: What the form of another site cannot send without the browser asking us first.
_NO_FORM = (xml.MEDIA_TYPE, "text/xml", json.MEDIA_TYPE)

Known = tuple[User, ApiToken | None]


class Bearer(BaseAuthentication):
    """A token with each request: one that a person has made, or one from the token endpoint."""

    def authenticate(self, request: Request) -> Known | None:
        """Return who it is."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = actions.token_of(cast("HttpRequest", request), secret.strip(), _TOKEN, _SESSION)
        if token is None:
            raise AuthenticationFailed("The token is unknown, has expired or was revoked.")
        return token.person, token


class Basic(BasicAuthentication):
    """Name and password with each request, or in the password's place a token that the person has made."""

    www_authenticate_realm = "RESTAPI"

    def authenticate_credentials(  # type: ignore[override]  # their own know no token in a password's place
        self, userid: str, password: str, request: Request | None = None
    ) -> Known:
        """Return who it is."""
        try:
            caller = actions.caller_of(cast("HttpRequest", request), local_name(userid), password)
        except actions.TooSoon as error:
            raise AuthenticationFailed(f"Too many attempts. Try again in {error.wait} s.") from None
        if caller is None:
            raise AuthenticationFailed("Wrong name or password.")
        return caller.person, caller.token


class Cookie(BaseAuthentication):
    """The cookie of a session that an earlier request has begun (`begun_session`)."""

    def authenticate(self, request: Request) -> Known | None:
        """Return who it is.

        Raises:
            UnsupportedMediaType: It changes something, and is in a form that other sites can have a browser send.
            PermissionDenied: The client has promised a header that is not there.
        """
        secret = request.COOKIES.get(COOKIE)
        if not secret:
            return None
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        if request.method not in SAFE_METHODS and media_type not in _NO_FORM:
            raise UnsupportedMediaType(media_type)
        token = actions.token_of(cast("HttpRequest", request), secret, _SESSION)
        if token is None:
            raise AuthenticationFailed("The session is over.")
        if token.wants_header and not constant_time_compare(request.headers.get(COOKIE, ""), secret):
            raise PermissionDenied
        return token.person, token


#: In this order: whoever sends a password besides an old cookie means the password.
SCHEMES = (Bearer, Basic, Cookie)


def local_name(name: str) -> str:
    """Return a name without its domain, where that is the portal's own."""
    return name.removesuffix(f"@{DOMAIN}")


def begun_session(request: Request) -> str | None:
    """Begin a session where a client that has sent name and password asks for one, and return its secret."""
    wishes = {wish.strip().lower() for wish in request.headers.get("Prefer", "").split(",")}
    if "persistent-auth" not in wishes or not isinstance(request.successful_authenticator, Basic):
        return None
    caller = actions.Caller(cast("User", request.user), cast("ApiToken | None", request.auth))
    return actions.begin_session(cast("HttpRequest", request), caller, wants_header="csrf-protection" in wishes)


def set_cookie(response: HttpResponseBase, secret: str, *, secure: bool) -> None:
    """Give a client the cookie of its session; a client drops a secure one that comes by plain HTTP."""
    response.set_cookie(COOKIE, secret, path=BASE, secure=secure, httponly=True, samesite="Strict")

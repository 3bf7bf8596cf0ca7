"""Who asks. A session of the pages is none here: what a page's cookie may do, a page asks for."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from vms import actions

#: Clients write a name with its domain; people of the portal's own are of this one.
DOMAIN = "internal"


class Basic(BasicAuthentication):
    """Name and password with each request."""

    www_authenticate_realm = "RESTAPI"

    def authenticate_credentials(self, userid: str, password: str, request: Request | None = None) -> tuple[User, None]:
        """Return who it is."""
        try:
            person = actions.person_of(cast("HttpRequest", request), local_name(userid), password)
        except actions.TooSoon as error:
            raise AuthenticationFailed(f"Too many attempts. Try again in {error.wait} s.") from None
        if person is None:
            raise AuthenticationFailed("Wrong name or password.")
        return person, None


def local_name(name: str) -> str:
    """Return a name without its domain, where that is the portal's own."""
    return name.removesuffix(f"@{DOMAIN}")


SCHEMES = (Basic,)

"""Logging in and out as oVirt's single sign-on has it: a token for a name and a password, and its end.

Every answer is JSON, also what went wrong: clients read nothing else here. Source: REST contract, 2.1 and 2.2.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response

from vms import actions
from vms.api.authentication import local_name
from vms.api.endpoint import Endpoint, fault_of
from vms.api.faults import Invalid
from vms.api.forms import Document, FormParser, JsonOnly, JsonRenderer

#: What a token is asked for; clients that know more of oVirt name others besides.
SCOPE = "ovirt-app-api"
#: Milliseconds, in words: oVirt's "never". When a session ends depends on its use, and that it has, 401 says.
NEVER = str(2**63 - 1)
#: One sentence for all: nobody learns that a password is right.
_WRONG = "The user name or password is incorrect. Who logs in with a code, too, needs an API token instead."


class _SingleSignOn(Endpoint):
    authentication_classes = ()
    permission_classes = ()
    parser_classes = (FormParser,)
    renderer_classes = (JsonRenderer,)
    content_negotiation_class = JsonOnly

    @property
    def sent(self) -> dict[str, str]:
        return cast("dict[str, str]", self.request.data)

    def answer(self, tree: dict[str, str], status: int = HTTPStatus.OK) -> Response:
        return Response(Document("answer", tree), status, headers={"Cache-Control": "no-store"})

    def refuse(self, code: str, error: str, status: int = HTTPStatus.BAD_REQUEST) -> Response:
        return self.answer({"error_code": code, "error": error}, status)

    def _told(self, error: Exception, _context: object) -> Response:
        fault = fault_of(error)
        ours = fault.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return self.refuse("server_error" if ours else "invalid_request", fault.detail, fault.status)


class LogIn(_SingleSignOn):
    """A token for a name and a password."""

    def post(self, request: Request) -> Response:
        """Begin a session."""
        sent = self.sent
        if sent.get("grant_type") != "password" or SCOPE not in sent.get("scope", "").split():
            raise Invalid(f"A token is given for grant_type=password and scope={SCOPE}.")
        name, asked = sent.get("username", ""), cast("HttpRequest", request)
        try:
            caller = actions.caller_of(asked, local_name(name), sent.get("password", ""))
        except actions.TooSoon as error:
            refusal = self._denied(name, f"Too many attempts. Try again in {error.wait} s.")
            refusal["Retry-After"] = str(error.wait)
            return refusal
        if caller is None:
            return self._denied(name, _WRONG)
        secret = actions.log_in(asked, caller)
        return self.answer({"access_token": secret, "scope": SCOPE, "exp": NEVER, "token_type": "bearer"})

    def _denied(self, name: str, why: str) -> Response:
        return self.refuse("access_denied", f"Cannot authenticate user '{name}': {why}")


class LogOut(_SingleSignOn):
    """The end of a session."""

    def post(self, request: Request) -> Response:
        """End it; one that is none has ended already."""
        actions.log_out(self.sent.get("token", ""))
        return self.answer({})

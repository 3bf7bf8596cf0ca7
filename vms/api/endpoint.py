"""What every address of the API has in common: who asks, in which form, how faults are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

import structlog
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.utils import translation
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from vms import actions, labels
from vms.api.authentication import SCHEMES, begun_session, set_cookie
from vms.api.declare import Items, Resource, Scalar, Tree, flag, reference
from vms.api.exchange import Exchange
from vms.api.faults import Conflict, Fault, Forbidden, Incomplete, Invalid, NotFound
from vms.api.following import Batch, Link, inline, wanted
from vms.api.forms import Document, JsonParser, JsonRenderer, Negotiation, TextXmlParser, XmlParser, XmlRenderer
from vms.correlation import adopt, correlation_id
from vms.domain.errors import ConfigurationError, PolicyError

log = structlog.get_logger(__name__)

#: A client may choose in it what its request, the job, and all events of both are found by.
CORRELATION_HEADER = "Correlation-Id"
#: Where a page's sentence speaks of its form.
_POLICY_ERROR = {"zero_needs_force": "0 seconds means no wait at all, which is only possible with force."}


class Endpoint(APIView):
    """One address.

    Attributes:
        resource: What it shows.
        links: Of what it shows, those that can be followed, by the names that clients follow them by.
    """

    resource: ClassVar[Resource[Any]]
    links: ClassVar[Mapping[str, Link[Any]]] = {}
    #: An action's faults are in an element of their own.
    is_action = False
    #: The client has chosen the request's id, in its header or address.
    has_chosen_id = False
    #: The secret of the session that this request has begun.
    session: str | None = None

    authentication_classes: Sequence[type[BaseAuthentication]] = SCHEMES
    permission_classes: Sequence[type[BasePermission]] = (IsAuthenticated,)
    parser_classes: Sequence[type[BaseParser]] = (XmlParser, TextXmlParser, JsonParser)
    renderer_classes: Sequence[type[BaseRenderer]] = (XmlRenderer, JsonRenderer)
    content_negotiation_class = Negotiation
    # OPTIONS would be answered in Django REST framework's own words, which are neither form of ours.
    metadata_class = None
    #: What it takes in its address, whatever the method; for the description.
    in_address: ClassVar[tuple[Scalar[None], ...]] = ()

    @classmethod
    def exchange(cls, method: str) -> Exchange | None:
        """Return what a method takes and gives, where it is not what all resources have in common."""
        return None

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer a request, in English whatever the person's pages are in: programs compare the words."""
        chosen = request.headers.get(CORRELATION_HEADER) or request.GET.get("correlation_id", "")
        self.has_chosen_id = bool(chosen)
        adopt(chosen)
        with translation.override("en"):
            response = super().dispatch(request, *args, **kwargs)
        response[CORRELATION_HEADER] = correlation_id()
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse clients of another version: what they would make of our answers is not what we say."""
        super().initial(request, *args, **kwargs)
        if request.headers.get("Version", "4").strip() != "4":
            raise Invalid("This is version 4 of the API.")
        self.session = begun_session(request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Give the client its session."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        if self.session is not None:
            set_cookie(answer, self.session, secure=request.is_secure())
        return answer

    def get_exception_handler(self) -> Any:
        """Return what turns errors into faults."""
        return self._told

    def _told(self, error: Exception, _context: Any) -> Response:
        if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
            return Response(None, HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": 'Basic realm="RESTAPI"'})
        fault = fault_of(error)
        tree: Tree = {"reason": fault.reason, "detail": fault.detail}
        if self.is_action:
            in_the_way = {} if fault.job is None else {"job": reference("jobs", fault.job)}
            return Response(Document("action", {**in_the_way, "fault": tree, "status": "failed"}), fault.status)
        return Response(Document("fault", tree), fault.status)

    # Answers.

    def one(self, source: Any, status: int = HTTPStatus.OK) -> Response:
        """Show one object."""
        return Response(Document(self.resource.name, self._all([source]).values[0]), status)

    def many(self, sources: Iterable[Any]) -> Response:
        """Show many objects."""
        return Response(Document(self.resource.plural, self._all(list(sources))))

    def _all(self, sources: Sequence[Any]) -> Items:
        shown = self.resource.show_all(sources)
        follow = wanted(self.request.query_params.get("follow", ""))
        inline(self.request.user, Batch(self.resource, self.links, sources, shown.values), follow)
        return shown

    # Parameters.

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a parameter of the address that is yes or no; without a value it is yes."""
        if name not in self.request.query_params:
            return default
        return flag(self.request.query_params[name] or "true", name)

    def whole(self, name: str) -> int | None:
        """Return a parameter of the address that is a number from 0; None where it is missing or empty."""
        text = self.request.query_params.get(name, "").strip()
        if not text:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise Invalid(f"{name} is a number from 0")
        return int(text)


class NothingHere(Endpoint):
    """Every address that is none."""

    permission_classes: Sequence[type[BasePermission]] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse."""
        raise NotFound("There is nothing at this address.")


def fault_of(error: Exception) -> Fault:
    """Say in oVirt's words what went wrong. What nobody expected is logged, and told without its details."""
    match error:
        case Fault():
            return error
        case actions.ReasonRequired():
            return Incomplete(f"[{error}]")
        case actions.Refused():
            return Conflict(str(error), job=error.operation.pk if error.operation else None)
        case PermissionDenied() | exceptions.PermissionDenied():
            return Forbidden()
        case Http404() | exceptions.NotFound():
            return NotFound("There is no such object.")
        case PolicyError():
            return Invalid(f"{error.field}: {_POLICY_ERROR.get(error.code) or labels.POLICY_ERROR[error.code]}")
        case ConfigurationError():
            return Invalid(f"{error.part}: {labels.CONFIGURATION_ERROR[error.code]}")
        case exceptions.APIException():
            fault = Fault(str(error.detail))
            fault.status = HTTPStatus(error.status_code)
            return fault
        case OperationalError() | InterfaceError():
            fault = Fault("The database is away. Try again in a few seconds.")
            fault.status = HTTPStatus.SERVICE_UNAVAILABLE
            return fault
    log.error("request failed", exc_info=error)
    fault = Fault("Something went wrong in the portal. Its log says what.")
    fault.status = HTTPStatus.INTERNAL_SERVER_ERROR
    return fault


def as_uuid(text: str) -> UUID:
    """Read an id.

    Raises:
        NotFound: It is none, so that there is no such object.
    """
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such object.") from None


__all__ = ["Endpoint", "Items", "NothingHere", "as_uuid", "fault_of"]

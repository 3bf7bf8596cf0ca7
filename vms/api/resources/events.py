"""Events: what happened, as pages tell it, and what other programs have told. Source: REST contract, 4.4."""

from __future__ import annotations

import re
from http import HTTPStatus

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from vms import actions, api_queries, queries
from vms.api import search_fields
from vms.api.collections import Collection
from vms.api.declare import Kind, Reference, Resource, Scalar, Tree
from vms.api.endpoint import Endpoint, as_uuid
from vms.api.faults import Incomplete, NotFound
from vms.api.ids import Row, id_of, key_of
from vms.api.resources.listed import MOST_OF_HISTORY, done, found
from vms.api.resources.vm import CLUSTER_ID
from vms.correlation import correlation_id
from vms.models import Event, ExternalEvent, Host, VirtualMachine

#: What the portal's own events say that they are from.
ORIGIN = "VM Portal"
#: oVirt's number of what another program has called an alert, which is an error here.
_ALERT = 9804
SEVERITIES = (*Event.Severity.values, "alert")
_NEEDED = ("origin", "severity", "custom_id", "description")


def _external(event: Event) -> ExternalEvent | None:
    return getattr(event, "external", None)


def _origin(event: Event) -> str:
    external = _external(event)
    return ORIGIN if external is None else external.origin


def _custom_id(event: Event) -> int | None:
    external = _external(event)
    return None if external is None else external.custom_id


EVENT: Resource[Event] = Resource(
    name="event",
    plural="events",
    path="events",
    id_of=lambda event: event.pk,
    members=(
        Scalar("description", Kind.TEXT, lambda event: event.message, written=True, longest=4000),
        Scalar("code", Kind.WHOLE, lambda event: event.code),
        Scalar(
            "severity",
            Kind.TEXT,
            lambda event: "alert" if event.code == _ALERT else event.severity,
            words=SEVERITIES,
            written=True,
        ),
        Scalar("time", Kind.MOMENT, lambda event: event.at),
        Scalar("index", Kind.WHOLE, lambda event: event.pk, "The same as its id; a later event has a larger one."),
        Scalar("origin", Kind.TEXT, _origin, written=True, longest=255),
        Scalar("custom_id", Kind.WHOLE, _custom_id, written=True, limits=(-(1 << 31), (1 << 31) - 1)),
        Scalar("flood_rate", Kind.WHOLE, lambda event: 0),
        Scalar("correlation_id", Kind.TEXT, lambda event: event.correlation_id or None),
        Reference("user", "users", lambda event: event.actor_id and id_of(Row.USER, event.actor_id)),
        Reference("vm", "vms", lambda event: event.vm_id, written=True),
        Reference("host", "hosts", lambda event: event.host_id and id_of(Row.HOST, event.host_id), written=True),
        Reference("cluster", "clusters", lambda event: CLUSTER_ID if event.host_id else None),
    ),
)


class EventCollection(Collection):
    """All events that somebody may see."""

    resource = EVENT
    searched = search_fields.EVENTS
    counter = "pk"
    most = MOST_OF_HISTORY

    def rows(self) -> QuerySet[Event]:
        """Return them, newest first."""
        return api_queries.events(self.request.user)

    def post(self, request: Request) -> Response:
        """Keep what another program tells."""
        sent = EVENT.read(request.data)
        missing = [name for name in _NEEDED if sent.get(name, "") == ""]
        if missing:
            raise Incomplete(f"Event [{', '.join(missing)}] required for add")
        event = actions.add_event(
            request.user,
            origin=sent["origin"],
            custom_id=sent["custom_id"],
            severity=sent["severity"],
            message=sent["description"],
            vm=self._vm(sent.get("vm")),
            host=self._host(sent.get("host")),
            correlation_id=correlation_id(),
        )
        return self.one(event, HTTPStatus.CREATED)

    def _vm(self, sent: Tree | None) -> VirtualMachine | None:
        if sent is None:
            return None
        visible = queries.shown_vms(self.request.user).select_related("host")
        return found(visible, **({"pk": as_uuid(sent["id"])} if "id" in sent else {"name": sent["name"]}))

    def _host(self, sent: Tree | None) -> Host | None:
        if sent is None:
            return None
        visible = api_queries.hosts(self.request.user)
        return found(visible, **({"pk": key_of(Row.HOST, sent["id"])} if "id" in sent else {"name": sent["name"]}))


class SingleEvent(Endpoint):
    """One event."""

    resource = EVENT

    def get(self, request: Request, event_id: str) -> Response:
        """Show it."""
        return self.one(self._event(event_id))

    def delete(self, request: Request, event_id: str) -> Response:
        """List it no more, where another program has told it."""
        actions.withdraw_event(request.user, self._event(event_id))
        return done()

    def _event(self, event_id: str) -> Event:
        # Of a bounded length: no database takes longer ones for a key.
        if not re.fullmatch("[0-9]{1,18}", event_id, re.ASCII):
            raise NotFound("There is no such event.")
        return found(api_queries.events(self.request.user), pk=int(event_id))

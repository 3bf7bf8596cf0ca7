"""Hosts. Source: REST contract, 4.4."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from vms import api_queries
from vms.api import search_fields
from vms.api.collections import Collection
from vms.api.declare import Group, Kind, Reference, Resource, Scalar
from vms.api.endpoint import Endpoint
from vms.api.ids import Row, id_of, key_of
from vms.api.resources.listed import found
from vms.api.resources.vm import CLUSTER_ID
from vms.domain import host_uri
from vms.models import Host

#: oVirt's words for what the portal knows of its connection.
_STATUS = {Host.State.NEW: "connecting", Host.State.CONNECTED: "up", Host.State.UNREACHABLE: "non_responsive"}


def status_of(host: Host) -> str:
    """Return how a host is: one that nobody watches any more is as good as away."""
    unheard = host.watched_until is not None and host.watched_until < timezone.now()
    state = Host.State(host.state)
    return _STATUS[Host.State.UNREACHABLE if unheard and state is Host.State.CONNECTED else state]


def _address(host: Host) -> str:
    return host.hostname or host_uri.parse(host.uri).host or "localhost"


HOST: Resource[Host] = Resource(
    name="host",
    plural="hosts",
    path="hosts",
    id_of=lambda host: id_of(Row.HOST, host.pk),
    members=(
        Scalar("name", Kind.TEXT, lambda host: host.name),
        Scalar("description", Kind.TEXT, lambda host: ""),
        Scalar("comment", Kind.TEXT, lambda host: ""),
        Scalar("address", Kind.TEXT, _address),
        Scalar("status", Kind.TEXT, status_of, words=tuple(_STATUS.values())),
        Scalar("type", Kind.TEXT, lambda host: "rhel", "oVirt's word for a host with an ordinary Linux."),
        Reference("cluster", "clusters", lambda host: CLUSTER_ID),
        Group(
            "summary",
            (
                Scalar("active", Kind.WHOLE, lambda host: vars(host)["running_count"], "VMs that run."),
                Scalar("total", Kind.WHOLE, lambda host: vars(host)["vm_count"], "VMs."),
            ),
        ),
        Group(
            "os",
            (
                Scalar("type", Kind.TEXT, lambda host: "Linux"),
                Scalar("custom_kernel_cmdline", Kind.TEXT, lambda host: ""),
            ),
        ),
        # The portal fences no host, and chooses none to manage storage: said because clients compare it.
        Group(
            "power_management",
            (
                Scalar("enabled", Kind.FLAG, lambda host: False),
                Scalar("kdump_detection", Kind.FLAG, lambda host: False),
            ),
        ),
        Group(
            "spm",
            (
                Scalar("priority", Kind.WHOLE, lambda host: 5),
                Scalar("status", Kind.TEXT, lambda host: "none"),
            ),
        ),
    ),
)


class HostCollection(Collection):
    """All hosts that somebody may see."""

    resource = HOST
    searched = search_fields.HOSTS

    def rows(self) -> QuerySet[Host]:
        """Return them by name."""
        return api_queries.hosts(self.request.user)


class SingleHost(Endpoint):
    """One host."""

    resource = HOST

    def get(self, request: Request, host_id: str) -> Response:
        """Show it."""
        return self.one(found(api_queries.hosts(request.user), pk=key_of(Row.HOST, host_id)))

"""The one cluster, which all hosts and VMs are in, and the data center that it is in: clients follow links to both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from vms.api import search_fields
from vms.api.collections import Collection
from vms.api.declare import Group, Kind, Reference, Resource, Scalar
from vms.api.endpoint import Endpoint, as_uuid
from vms.api.faults import NotFound
from vms.api.resources.vm import CLUSTER_ID

DATA_CENTER_ID = "00000000-0000-0000-0000-000000000002"


@dataclass(frozen=True, slots=True)
class Place:
    """What there is one of."""

    id: str
    name: str


THE_CLUSTER = Place(CLUSTER_ID, "Default")
_DATA_CENTER = Place(DATA_CENTER_ID, "Default")

#: The level of features that clients of this version of the API expect.
_VERSION: Group[Place] = Group(
    "version",
    (Scalar("major", Kind.WHOLE, lambda it: 4), Scalar("minor", Kind.WHOLE, lambda it: 7)),
)

CLUSTER: Resource[Place] = Resource(
    name="cluster",
    plural="clusters",
    path="clusters",
    id_of=lambda it: it.id,
    members=(
        Scalar("name", Kind.TEXT, lambda it: it.name),
        Scalar("description", Kind.TEXT, lambda it: "All hosts of the portal."),
        Scalar("comment", Kind.TEXT, lambda it: ""),
        Group("cpu", (Scalar("architecture", Kind.TEXT, lambda it: "x86_64"),)),
        _VERSION,
        Reference("data_center", "datacenters", lambda it: DATA_CENTER_ID),
    ),
    links=("affinitygroups",),
    doc="All hosts and VMs are in the one cluster.",
)

DATA_CENTER: Resource[Place] = Resource(
    name="data_center",
    plural="data_centers",
    path="datacenters",
    id_of=lambda it: it.id,
    members=(
        Scalar("name", Kind.TEXT, lambda it: it.name),
        Scalar("description", Kind.TEXT, lambda it: "All hosts of the portal."),
        Scalar("comment", Kind.TEXT, lambda it: ""),
        Scalar("local", Kind.FLAG, lambda it: False),
        Scalar("status", Kind.TEXT, lambda it: "up"),
        _VERSION,
    ),
    doc="The cluster is in the one data center.",
)


class ClusterCollection(Collection):
    """All clusters."""

    resource = CLUSTER
    searched = search_fields.PLACES

    def rows(self) -> Sequence[Place]:
        """Return the one."""
        return (THE_CLUSTER,)


class SingleCluster(Endpoint):
    """One cluster."""

    resource = CLUSTER

    def get(self, request: Request, cluster_id: str) -> Response:
        """Show it."""
        require_cluster(cluster_id)
        return self.one(THE_CLUSTER)


class DataCenterCollection(Collection):
    """All data centers."""

    resource = DATA_CENTER
    searched = search_fields.PLACES

    def rows(self) -> Sequence[Place]:
        """Return the one."""
        return (_DATA_CENTER,)


class SingleDataCenter(Endpoint):
    """One data center."""

    resource = DATA_CENTER

    def get(self, request: Request, data_center_id: str) -> Response:
        """Show it."""
        if as_uuid(data_center_id) != UUID(DATA_CENTER_ID):
            raise NotFound("There is no such data center.")
        return self.one(_DATA_CENTER)


def require_cluster(cluster_id: str) -> None:
    """Go on only with the id of the one cluster.

    Raises:
        NotFound: It is another.
    """
    if as_uuid(cluster_id) != UUID(CLUSTER_ID):
        raise NotFound("There is no such cluster.")

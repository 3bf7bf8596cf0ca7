"""The one template, Blank: what every VM is made from, as far as clients want to know."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from vms.api import search_fields
from vms.api.collections import Collection
from vms.api.declare import Group, Kind, Reference, Resource, Scalar
from vms.api.endpoint import Endpoint, as_uuid
from vms.api.faults import NotFound
from vms.api.resources.clusters import Place
from vms.api.resources.vm import BLANK_ID, CLUSTER_ID

_BLANK = Place(BLANK_ID, "Blank")

TEMPLATE: Resource[Place] = Resource(
    name="template",
    plural="templates",
    path="templates",
    id_of=lambda it: it.id,
    members=(
        Scalar("name", Kind.TEXT, lambda it: it.name),
        Scalar("description", Kind.TEXT, lambda it: "Blank template"),
        Scalar("comment", Kind.TEXT, lambda it: ""),
        Scalar("status", Kind.TEXT, lambda it: "ok"),
        Scalar("type", Kind.TEXT, lambda it: "server"),
        Group("version", (Scalar("version_number", Kind.WHOLE, lambda it: 1),)),
        Reference("cluster", "clusters", lambda it: CLUSTER_ID),
    ),
    doc="There is one template, Blank.",
)


class TemplateCollection(Collection):
    """All templates."""

    resource = TEMPLATE
    searched = search_fields.PLACES

    def rows(self) -> Sequence[Place]:
        """Return the one."""
        return (_BLANK,)


class SingleTemplate(Endpoint):
    """One template."""

    resource = TEMPLATE

    def get(self, request: Request, template_id: str) -> Response:
        """Show it."""
        if as_uuid(template_id) != UUID(BLANK_ID):
            raise NotFound("There is no such template.")
        return self.one(_BLANK)

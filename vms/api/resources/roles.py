"""Roles: named sets of what somebody may do."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from vms import api_queries
from vms.api.collections import Collection
from vms.api.declare import Kind, Resource, Scalar
from vms.api.endpoint import Endpoint
from vms.api.ids import Row, id_of, key_of
from vms.api.resources.listed import found
from vms.models import Role

ROLE: Resource[Role] = Resource(
    name="role",
    plural="roles",
    path="roles",
    id_of=lambda role: id_of(Row.ROLE, role.pk),
    members=(
        Scalar("name", Kind.TEXT, lambda role: role.name),
        Scalar("description", Kind.TEXT, lambda role: role.description),
    ),
)


class RoleCollection(Collection):
    """All roles that somebody may see."""

    resource = ROLE

    def rows(self) -> QuerySet[Role]:
        """Return them by name."""
        return api_queries.roles(self.request.user)


class SingleRole(Endpoint):
    """One role."""

    resource = ROLE

    def get(self, request: Request, role_id: str) -> Response:
        """Show it."""
        return self.one(found(api_queries.roles(request.user), pk=key_of(Row.ROLE, role_id)))

"""People with an account, and the groups that they are in. Source: REST contract, 3."""

from __future__ import annotations

from django.contrib.auth.models import Group as People
from django.contrib.auth.models import User
from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from vms import api_queries
from vms.api import search_fields
from vms.api.authentication import DOMAIN
from vms.api.collections import Collection
from vms.api.declare import Group, Kind, Resource, Scalar
from vms.api.endpoint import Endpoint
from vms.api.ids import Row, id_of, key_of
from vms.api.resources.listed import found

USER: Resource[User] = Resource(
    name="user",
    plural="users",
    path="users",
    id_of=lambda user: id_of(Row.USER, user.pk),
    links=("permissions",),
    members=(
        Scalar("name", Kind.TEXT, lambda user: user.first_name or user.username),
        Scalar("last_name", Kind.TEXT, lambda user: user.last_name),
        Scalar("user_name", Kind.TEXT, lambda user: f"{user.username}@{DOMAIN}"),
        Scalar("principal", Kind.TEXT, lambda user: user.username),
        Scalar("namespace", Kind.TEXT, lambda user: "*"),
        Group("domain", (Scalar("name", Kind.TEXT, lambda user: DOMAIN),)),
    ),
)

GROUP: Resource[People] = Resource(
    name="group",
    plural="groups",
    path="groups",
    id_of=lambda group: id_of(Row.GROUP, group.pk),
    members=(
        Scalar("name", Kind.TEXT, lambda group: group.name),
        Scalar("namespace", Kind.TEXT, lambda group: "*"),
        Group("domain", (Scalar("name", Kind.TEXT, lambda group: DOMAIN),)),
    ),
)


class UserCollection(Collection):
    """Everybody whom somebody may see."""

    resource = USER
    searched = search_fields.USERS

    def rows(self) -> QuerySet[User]:
        """Return them by name."""
        return api_queries.people(self.request.user)


class SingleUser(Endpoint):
    """One person."""

    resource = USER

    def get(self, request: Request, user_id: str) -> Response:
        """Show them."""
        return self.one(found(api_queries.people(request.user), pk=key_of(Row.USER, user_id)))


class GroupCollection(Collection):
    """All groups that somebody may see."""

    resource = GROUP

    def rows(self) -> QuerySet[People]:
        """Return them by name."""
        return api_queries.groups(self.request.user)


class SingleGroup(Endpoint):
    """One group."""

    resource = GROUP

    def get(self, request: Request, group_id: str) -> Response:
        """Show it."""
        return self.one(found(api_queries.groups(request.user), pk=key_of(Row.GROUP, group_id)))

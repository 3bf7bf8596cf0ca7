"""Permissions, as oVirt calls it: who has which role where. Source: REST contract, 3."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, TypeVar

from django.contrib.auth.models import Group, User
from django.db.models import Model, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from vms import actions, api_queries, permissions
from vms.api.authentication import local_name
from vms.api.collections import Collection
from vms.api.declare import Reference, Resource, Tree
from vms.api.endpoint import Endpoint
from vms.api.faults import Conflict, Incomplete
from vms.api.ids import Row, id_of, key_of
from vms.api.resources.listed import done, found
from vms.api.resources.vm_part import VmPart
from vms.models import Assignment, Role

M = TypeVar("M", bound=Model)


def _key(row: Row, name: str) -> Any:
    """Return what shows the id of what an assignment refers to, or nothing where it refers to none."""

    def show(assignment: Assignment) -> object | None:
        key = getattr(assignment, f"{name}_id")
        return None if key is None else id_of(row, key)

    return show


PERMISSION: Resource[Assignment] = Resource(
    name="permission",
    plural="permissions",
    path="permissions",
    id_of=lambda assignment: id_of(Row.ASSIGNMENT, assignment.pk),
    members=(
        Reference("role", "roles", _key(Row.ROLE, "role"), written=True),
        Reference("user", "users", _key(Row.USER, "user"), written=True),
        Reference("group", "groups", _key(Row.GROUP, "group"), written=True),
        Reference("vm", "vms", lambda assignment: assignment.vm_id),
        Reference("host", "hosts", _key(Row.HOST, "host"), "On all VMs of the host."),
        Reference("tag", "tags", _key(Row.TAG, "tag"), "On all VMs that bear the tag."),
    ),
    doc="A role that a person or a group has on one VM, on a host's or a tag's VMs, or on the whole portal.",
)


class PermissionCollection(Collection):
    """All that somebody may see."""

    resource = PERMISSION

    def rows(self) -> QuerySet[Assignment]:
        """Return them by role."""
        return api_queries.assignments(self.request.user)


class SinglePermission(Endpoint):
    """One of them."""

    resource = PERMISSION

    def get(self, request: Request, permission_id: str) -> Response:
        """Show it."""
        seen = api_queries.assignments(request.user)
        return self.one(found(seen, pk=key_of(Row.ASSIGNMENT, permission_id)))


class UserPermissionCollection(Collection):
    """Those of one person, and not through a group."""

    resource = PERMISSION

    def rows(self) -> QuerySet[Assignment]:
        """Return them by role."""
        viewer = self.request.user
        person = found(api_queries.people(viewer), pk=key_of(Row.USER, self.kwargs["user_id"]))
        return api_queries.assignments(viewer).filter(user=person)


class _OnVm(VmPart):
    resource = PERMISSION

    def seen(self) -> QuerySet[Assignment]:
        """Return those that hold on the VM, wherever they were given."""
        return api_queries.assignments_on(self.request.user, self.vm)


class VmPermissionCollection(_OnVm, Collection):
    """Those that hold on one VM."""

    def rows(self) -> QuerySet[Assignment]:
        """Return them by role."""
        return self.seen()

    def post(self, request: Request, vm_id: str) -> Response:
        """Give a person or a group a role on the VM."""
        vm, sent = self.vm, PERMISSION.read(request.data)
        if "role" not in sent or ("user" in sent) == ("group" in sent):
            raise Incomplete("Permission [role, and user or group] required for add")
        # Whoever may not give roles here is not told by a guess who else there is.
        permissions.require(permissions.may_assign(request.user, vm))
        role = _meant(sent["role"], Row.ROLE, api_queries.roles(request.user), Role.objects.all(), "name")
        given = actions.give_role(request.user, vm, role, self._to(sent))
        return self.one(given, HTTPStatus.CREATED)

    def _to(self, sent: Tree) -> User | Group:
        viewer = self.request.user
        if "group" in sent:
            return _meant(sent["group"], Row.GROUP, api_queries.groups(viewer), Group.objects.all(), "name")
        named = User.objects.filter(is_active=True)
        wanted = sent["user"] | ({"name": local_name(sent["user"]["name"])} if "name" in sent["user"] else {})
        return _meant(wanted, Row.USER, api_queries.people(viewer), named, "username")


class SingleVmPermission(_OnVm):
    """One of them."""

    def get(self, request: Request, vm_id: str, permission_id: str) -> Response:
        """Show it."""
        return self.one(found(self.seen(), pk=key_of(Row.ASSIGNMENT, permission_id)))

    def delete(self, request: Request, vm_id: str, permission_id: str) -> Response:
        """Take the role back, where it was given on this very VM."""
        given = found(self.seen(), pk=key_of(Row.ASSIGNMENT, permission_id))
        if given.vm_id is None:
            raise Conflict("It was not given on this VM, but holds there, too.")
        actions.take_role(request.user, self.vm, given.pk)
        return done()


def _meant(sent: Tree, row: Row, seen: QuerySet[M], every: QuerySet[M], name: str) -> M:
    """Return which one a client means: by the id of one that it sees, or by a name that it knows."""
    if "id" in sent:
        return found(seen, pk=key_of(row, sent["id"]))
    return found(every, **{name: sent["name"]})

"""Tags, and those that one VM bears. Source: REST contract, 3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from vms import actions, api_queries, labels
from vms.api.collections import Collection
from vms.api.declare import Reference
from vms.api.endpoint import Endpoint
from vms.api.faults import Forbidden, Incomplete, Invalid
from vms.api.ids import Row, id_of, key_of
from vms.api.resources.listed import done, found
from vms.api.resources.tag import TAG
from vms.api.resources.vm_part import VmPart
from vms.domain.tags import TagError
from vms.models import Tag

#: How a client says which tag it means.
_MEANT: Reference[Tag] = Reference("tag", "tags", lambda tag: id_of(Row.TAG, tag.pk), written=True)


class _Tags(Endpoint):
    resource = TAG

    def tag(self, tag_id: str) -> Tag:
        """Return one that the person may see.

        Raises:
            NotFound: There is none of this id for them.
        """
        return found(api_queries.tags(self.request.user), pk=key_of(Row.TAG, tag_id))


class TagCollection(_Tags, Collection):
    """All tags."""

    def rows(self) -> QuerySet[Tag]:
        """Return them by name."""
        return api_queries.tags(self.request.user)

    def post(self, request: Request) -> Response:
        """Make one."""
        sent = TAG.read(request.data)
        if "name" not in sent:
            raise Incomplete("Tag [name] required for add")
        with _told():
            return self.one(actions.add_tag(request.user, sent["name"]), HTTPStatus.CREATED)


class SingleTag(_Tags):
    """One tag."""

    def get(self, request: Request, tag_id: str) -> Response:
        """Show it."""
        return self.one(self.tag(tag_id))

    def delete(self, request: Request, tag_id: str) -> Response:
        """Take it off all VMs, and away."""
        actions.remove_tag(request.user, self.tag(tag_id))
        return done()


class VmTagCollection(VmPart, _Tags, Collection):
    """The tags that one VM bears."""

    def rows(self) -> QuerySet[Tag]:
        """Return them by name."""
        return self.vm.tags.all()

    def post(self, request: Request, vm_id: str) -> Response:
        """Put one on it that is known."""
        vm, meant = self.vm, _MEANT.read(request.data, "tag")
        known = api_queries.tags(request.user)
        tag = self.tag(meant["id"]) if "id" in meant else found(known, name__iexact=meant["name"])
        with _told():
            actions.put_tag(request.user, vm, tag)
        return self.one(tag, HTTPStatus.CREATED)


class SingleVmTag(VmPart, _Tags):
    """One tag that a VM bears."""

    def get(self, request: Request, vm_id: str, tag_id: str) -> Response:
        """Show it."""
        return self.one(found(self.vm.tags.all(), pk=key_of(Row.TAG, tag_id)))

    def delete(self, request: Request, vm_id: str, tag_id: str) -> Response:
        """Take it off the VM."""
        tag = found(self.vm.tags.all(), pk=key_of(Row.TAG, tag_id))
        with _told():
            actions.take_tag(request.user, self.vm, tag)
        return done()


@contextmanager
def _told() -> Iterator[None]:
    """Have clients told why something cannot be a tag."""
    try:
        yield
    except TagError as error:
        sentence = str(labels.TAG_ERROR[error.code])
        raise (Forbidden if error.code == "gives_roles" else Invalid)(sentence) from None

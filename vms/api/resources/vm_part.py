"""What all addresses below one VM have in common: who may not see the VM is told that there is none."""

from __future__ import annotations

from functools import cached_property
from uuid import UUID, uuid5

from rest_framework.request import Request
from rest_framework.response import Response

from vms import api_queries
from vms.api.collections import Collection
from vms.api.endpoint import Endpoint, as_uuid
from vms.api.faults import NotFound
from vms.models import VirtualMachine


class VmPart(Endpoint):
    """An address below one VM."""

    @cached_property
    def vm(self) -> VirtualMachine:
        """The VM.

        Raises:
            NotFound: There is none of this id for the person.
        """
        return self.require_vm()

    def require_vm(self) -> VirtualMachine:
        """Return the VM as it is now.

        Raises:
            NotFound: There is none of this id for the person.
        """
        try:
            return api_queries.vm(self.request.user, as_uuid(self.kwargs["vm_id"]))
        except VirtualMachine.DoesNotExist:
            raise NotFound("There is no such VM.") from None


class VmParts(VmPart, Collection):
    """A collection below one VM, and each of its members at an address of its own."""

    def get(self, request: Request, **above: str) -> Response:
        """List them, or show the one that is asked for."""
        if "part_id" not in above:
            return super().get(request, **above)
        wanted = as_uuid(above["part_id"])
        for part in self.rows():
            if self.resource.id_of(part) == wanted:
                return self.one(part)
        raise NotFound("There is no such object.")


def part_id(vm: VirtualMachine, kind: str, name: str) -> UUID:
    """Return the id of a part of a VM that has none of its own: the same each time."""
    return uuid5(vm.pk, f"{kind}:{name}")

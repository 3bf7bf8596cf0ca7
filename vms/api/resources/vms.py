"""The addresses of VMs: looking at them, changing and removing one. Source: REST contract, 3 and 5.1."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from vms import actions, queries
from vms.api import search_fields
from vms.api.collections import Collection
from vms.api.resources import vm_adding
from vms.api.resources.vm import Shown
from vms.api.resources.vm_endpoint import VmEndpoint, Wish
from vms.api.resources.vm_writing import edit_of
from vms.correlation import correlation_id
from vms.domain.power import Action
from vms.models import Operation, VirtualMachine

#: What is shown of a VM's newest operation: of thousands of VMs, nothing else is read.
_TOLD = Operation.objects.only("vm", "action", "stage", "outcome", "reason")


class VmCollection(VmEndpoint, Collection):
    """All VMs that somebody may see."""

    searched = search_fields.VMS

    def rows(self) -> QuerySet[VirtualMachine]:
        """Return them by name."""
        return self.vms()

    def sources(self, rows: Any) -> list[Shown]:
        """Return them with all that is shown of them."""
        return self.shown(queries.rows_of(rows.defer("disks"), _TOLD), next_run=self.flag("next_run"))

    def post(self, request: Request) -> Response:
        """Add one."""
        (shown,) = self.shown([self.row(str(vm_adding.add(request).pk))])
        return self.one(shown, HTTPStatus.CREATED)


class SingleVm(VmEndpoint):
    """One VM."""

    def get(self, request: Request, vm_id: str) -> Response:
        """Show it as it is, or as its next run will be."""
        return self._show(vm_id, next_run=self.flag("next_run"))

    def put(self, request: Request, vm_id: str) -> Response:
        """Change what is sent, and show it as it is then.

        What a run cannot take waits for the next cold start, whether or not the client says `next_run`.
        """
        row = self.row(vm_id)
        (shown,) = self.shown([row])
        edit = edit_of(request.data, shown)
        actions.edit(
            request.user,
            row.vm,
            setting=edit.setting,
            options=edit.options,
            values=edit.values,
            comment=edit.comment,
            correlation_id=correlation_id(),
        )
        return self._show(vm_id)

    def delete(self, request: Request, vm_id: str) -> Response:
        """Remove it from its host. Its disks are kept, unless the client says in so many words that they are not."""
        row = self.row(vm_id)
        parameters = self.parameters()
        keep = parameters.get("detach_only", True)
        disks = () if keep else tuple(disk.source for disk in row.vm.disk_list if disk.may_go)
        return self.asked(row, Wish(Action.REMOVE, disks=disks), parameters)

    def _show(self, vm_id: str, *, next_run: bool = False) -> Response:
        (shown,) = self.shown([self.row(vm_id)], next_run=next_run)
        return self.one(shown)

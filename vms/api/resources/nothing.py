"""Collections that clients ask for and the portal has nothing in: each is empty, under the name that clients expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rest_framework.request import Request

from vms.api.collections import Collection
from vms.api.declare import Resource
from vms.api.resources.clusters import require_cluster
from vms.api.resources.vm_part import VmPart


def _of_vms(name: str, plural: str, doc: str) -> Resource[Any]:
    return Resource(name, plural, "vms", id_of=lambda it: it.pk, members=(), doc=doc)


class NothingOfVm(VmPart, Collection):
    """A collection below a VM that is always empty."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse those who may not see the VM."""
        super().initial(request, *args, **kwargs)
        self.require_vm()

    def rows(self) -> Sequence[Any]:
        """Return nothing."""
        return ()


class NumaNodes(NothingOfVm):
    """How its memory is spread over a host."""

    resource = _of_vms("vm_numa_node", "vm_numa_nodes", "The portal pins no memory.")


class Applications(NothingOfVm):
    """What is installed in its guest."""

    resource = _of_vms("application", "applications", "The portal does not ask guests for it.")


class Sessions(NothingOfVm):
    """Who is logged in to its guest."""

    resource = _of_vms("session", "sessions", "The portal does not ask guests for it.")


class Snapshots(NothingOfVm):
    """Its snapshots."""

    resource = _of_vms("snapshot", "snapshots", "The portal makes none.")


class GraphicsConsoles(NothingOfVm):
    """Where its screen can be reached."""

    resource = _of_vms("graphics_console", "graphics_consoles", "Screens are shown by the portal's pages only.")


class VmAffinityLabels(NothingOfVm):
    """On which hosts it prefers to run."""

    resource = _of_vms("affinity_label", "affinity_labels", "The portal moves no VMs.")


class AffinityGroups(Collection):
    """Which VMs of the cluster prefer to run together."""

    resource: ClassVar[Resource[Any]] = Resource(
        "affinity_group",
        "affinity_groups",
        "clusters",
        id_of=lambda it: it.pk,
        members=(),
        doc="The portal moves no VMs.",
    )

    def rows(self) -> Sequence[Any]:
        """Return nothing, for the one cluster."""
        require_cluster(self.kwargs["cluster_id"])
        return ()

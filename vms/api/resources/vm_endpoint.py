"""What all addresses of VMs have in common: which VM is meant, how it is shown, and having something done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from rest_framework.response import Response

from vms import actions, permissions, queries
from vms.api.declare import Kind, Scalar, Tree, read, reference
from vms.api.endpoint import Endpoint, as_uuid
from vms.api.faults import Invalid, NotFound
from vms.api.forms import Document
from vms.api.resources.vm import VM, Shown
from vms.api.resources.vm_plan import planned
from vms.correlation import correlation_id
from vms.domain.policy import MAX_DELAY, Setting
from vms.domain.power import Action, VmStatus
from vms.domain.run_options import AS_STORED, RunOptions
from vms.models import Operation, PortalDefaults, VirtualMachine
from vms.queries import VmRow

_LONGEST_REASON = 500


def _parameter(name: str, kind: Kind, doc: str, limits: tuple[int, int] | None = None) -> Scalar[None]:
    return Scalar(name, kind, lambda _: None, doc, written=True, limits=limits)


#: What a request may say besides what it is about, in its body or in its address; each is for some of them only.
PARAMETERS: tuple[Scalar[None], ...] = (
    _parameter("reason", Kind.TEXT, "Kept with the job and its events. Some VMs want one."),
    _parameter("dry_run", Kind.FLAG, "Do nothing; answer what would be done."),
    _parameter("correlation_id", Kind.TEXT, "As the header of that name, which wins."),
    _parameter("force", Kind.FLAG, "For this once: power off at the end of the graceful delay, or give up."),
    _parameter("graceful_delay", Kind.WHOLE, "For this once: seconds to wait for the guest.", (0, MAX_DELAY)),
    _parameter("reboot", Kind.FLAG, "Run it again afterwards."),
    _parameter("pause", Kind.FLAG, "Start it, but let no CPU run yet."),
    _parameter("use_cloud_init", Kind.FLAG, "This portal initializes no guest."),
    _parameter("use_sysprep", Kind.FLAG, "This portal initializes no guest."),
    _parameter("use_ignition", Kind.FLAG, "This portal initializes no guest."),
    _parameter("use_initialization", Kind.FLAG, "This portal initializes no guest."),
    _parameter("detach_only", Kind.FLAG, "Keep its disks, as is done unless this says no."),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants done to a VM, in the words of `actions.request`."""

    action: Action
    override: Setting | None = None
    options: RunOptions = AS_STORED
    disks: tuple[str, ...] = ()


class VmEndpoint(Endpoint):
    """An address of VMs."""

    resource = VM

    def vms(self) -> QuerySet[VirtualMachine]:
        """Return the VMs that there are for this person.

        One that is gone from its host is none: clients know no word for it, and take what they don't know for running.
        """
        return queries.shown_vms(self.request.user).exclude(status=VmStatus.GONE)

    def row(self, vm_id: str) -> VmRow:
        """Return one of them.

        Raises:
            NotFound: There is none of this id.
        """
        try:
            row = queries.vm_row(self.request.user, as_uuid(vm_id))
        except VirtualMachine.DoesNotExist:
            raise NotFound("There is no such VM.") from None
        if row.vm.status == VmStatus.GONE:
            raise NotFound("This VM is gone: it is no longer defined on its host.")
        return row

    def shown(self, rows: Sequence[VmRow], *, next_run: bool = False) -> list[Shown]:
        """Return them as they are shown."""
        defaults, viewer = PortalDefaults.load().setting, self.request.user
        return [Shown(row, defaults, next_run, permissions.may_view_operations(viewer, row.vm)) for row in rows]

    def parameters(self, sent: object = "") -> Tree:
        """Return what the request says besides; where body and address differ, the address holds.

        Args:
            sent: The body, where it may say something.

        Raises:
            Invalid: Something is not what it is declared to be.
        """
        query = self.request.query_params
        # A word without a value is a yes, where it is a question at all.
        asked = [member for member in PARAMETERS if member.name in query]
        given = {member.name: query[member.name] or _without_value(member) for member in asked}
        found = read(PARAMETERS, sent, "action") | read(PARAMETERS, given, "parameter")
        _check_reason(found.get("reason", ""))
        return found

    def asked(self, row: VmRow, wish: Wish, parameters: Tree) -> Response:
        """Have something done, and say where to look how far it is; or say what would be done.

        Raises:
            PermissionDenied: The person may not do this to this VM.
            Refused: Not now.
            ReasonRequired: Not without a reason.
            PolicyError: The override cannot be carried out.
        """
        if parameters.get("dry_run", False):
            return self._planned(row.vm, wish)
        operation = self._accepted(row.vm, wish, parameters.get("reason", ""))
        return Response(Document("action", {"job": reference("jobs", operation.pk), "status": "complete"}))

    def _accepted(self, vm: VirtualMachine, wish: Wish, reason: str) -> Operation:
        return actions.request(
            self.request.user,
            vm,
            wish.action,
            override=wish.override,
            options=wish.options,
            disks=wish.disks,
            reason=reason,
            correlation_id=correlation_id(),
        )

    def _planned(self, vm: VirtualMachine, wish: Wish) -> Response:
        permissions.require(permissions.may(self.request.user, wish.action, vm))
        preview = actions.preview(vm, wish.action, wish.override, wish.options, wish.disks)
        if preview.refusal is not None:
            raise actions.Refused(preview.refusal, preview.in_the_way)
        return Response(Document("action", planned(preview)))


def _without_value(parameter: Scalar[None]) -> str | None:
    return "true" if parameter.kind is Kind.FLAG else None


def _check_reason(reason: str) -> None:
    if len(reason) > _LONGEST_REASON or not all(char.isprintable() or char in "\t\n" for char in reason):
        raise Invalid(f"reason is text without control characters, at most {_LONGEST_REASON} characters")

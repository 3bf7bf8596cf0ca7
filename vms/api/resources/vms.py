"""The addresses of VMs: looking at them, and having something done to one. Source: REST contract, 3 and 5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from vms import actions, queries
from vms.api.declare import Group, Kind, Scalar, Tree, read, reference
from vms.api.endpoint import Endpoint, as_uuid
from vms.api.exchange import ACCEPTED, Exchange, parameter
from vms.api.faults import NotFound
from vms.api.forms import Document
from vms.api.resources.vm import VM, Shown
from vms.correlation import correlation_id
from vms.domain.policy import MAX_DELAY
from vms.models import Operation, PortalDefaults, VirtualMachine
from vms.queries import VmRow

_NEXT_RUN = parameter("next_run", Kind.FLAG, "Show what its next cold start will use.")


class _Vms(Endpoint):
    resource = VM
    in_address: ClassVar[tuple[Scalar[None], ...]] = (_NEXT_RUN,)

    def show(self, rows: Sequence[VmRow]) -> list[Shown]:
        defaults = PortalDefaults.load().setting
        next_run = self.flag("next_run")
        return [Shown(row, defaults, next_run) for row in rows]

    def row(self, vm_id: str) -> VmRow:
        try:
            return queries.vm_row(self.request.user, as_uuid(vm_id))
        except VirtualMachine.DoesNotExist:
            raise NotFound("There is no such VM.") from None


class VmCollection(_Vms):
    """All VMs that somebody may see."""

    def get(self, request: Request) -> Response:
        """List them."""
        vms = queries.shown_vms(request.user)
        return self.many(self.show(queries.vm_rows(request.user, vms.values_list("pk", flat=True))))


class SingleVm(_Vms):
    """One VM."""

    def get(self, request: Request, vm_id: str) -> Response:
        """Show it."""
        return self.one(self.show([self.row(vm_id)])[0])


Verb = Callable[..., Operation]

#: What an action may say, besides what is ignored.
_PARAMETERS: tuple[Scalar[None], ...] = (
    Scalar("force", Kind.FLAG, lambda it: None, written=True),
    Scalar("reboot", Kind.FLAG, lambda it: None, written=True),
    Scalar("reason", Kind.TEXT, lambda it: None, written=True),
    Scalar("graceful_delay", Kind.WHOLE, lambda it: None, written=True, limits=(0, MAX_DELAY)),
)


class VmAction(_Vms):
    """Something that is done to one VM; answered by where to look how far it is."""

    is_action = True
    #: The verb, and which of the parameters it takes, by the names that it takes them by.
    verb: ClassVar[tuple[Verb, dict[str, str]]]
    in_address = ()

    @classmethod
    def exchange(cls, method: str) -> Exchange:
        """Return what the verb takes, in the body or, for one delay, in the address."""
        _, takes = cls.verb
        taken = tuple(declared for declared in _PARAMETERS if declared.name in takes)
        delay = tuple(declared for declared in taken if declared.name == "graceful_delay")
        return Exchange(takes=Group("action", taken), gives=ACCEPTED, parameters=delay)

    def post(self, request: Request, vm_id: str) -> Response:
        """Have it done."""
        vm = self.row(vm_id).vm
        sent: Tree = read(_PARAMETERS, request.data, "action")
        if (delay := self.whole("graceful_delay")) is not None:
            sent["graceful_delay"] = delay
        verb, takes = type(self).verb
        options: dict[str, Any] = {takes[name]: value for name, value in sent.items() if name in takes}
        operation = verb(request.user, vm, correlation_id=correlation_id(), **options)
        return Response(Document("action", {"job": reference("jobs", operation.pk), "status": "complete"}))


_REASON = {"reason": "reason"}
_GRACEFUL = _REASON | {"force": "force", "graceful_delay": "delay"}


class Start(VmAction):
    """Run it."""

    verb = actions.run, _REASON


class Stop(VmAction):
    """Power it off."""

    verb = actions.power_off, _REASON


class ShutDown(VmAction):
    """Shut it down, subject to its policy."""

    verb = actions.shut_down, _GRACEFUL | {"reboot": "reboot"}


class Reboot(VmAction):
    """Shut it down, then run it, subject to its policy."""

    verb = actions.reboot, _GRACEFUL


class PowerCycle(VmAction):
    """The forced reboot: power it off, then run it."""

    verb = actions.power_cycle, _REASON


class Suspend(VmAction):
    """Save its memory."""

    verb = actions.suspend, _REASON

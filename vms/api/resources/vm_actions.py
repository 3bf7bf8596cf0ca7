"""What is done to a VM: an address a verb. Source: REST contract, 5 and 7.

`complete` in an answer means: accepted, and the VM's status has moved. How it goes on, the job says.
"""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from vms.api.declare import Tree
from vms.api.faults import Conflict, Invalid
from vms.api.leaves import leaves
from vms.api.resources.vm_endpoint import VmEndpoint, Wish
from vms.api.resources.vm_run_once import options_of
from vms.correlation import adopt
from vms.domain.policy import Setting
from vms.domain.power import Action
from vms.domain.run_options import AS_STORED
from vms.queries import VmRow

_INITIALIZING = ("use_cloud_init", "use_sysprep", "use_ignition", "use_initialization")


class VmAction(VmEndpoint):
    """Something that is done to one VM; answered by where to look how far it is."""

    is_action = True

    def post(self, request: Request, vm_id: str) -> Response:
        """Have it done."""
        row = self.row(vm_id)
        sent = request.data or {}
        parameters = self.parameters(sent)
        if not self.has_chosen_id:
            adopt(parameters.get("correlation_id", ""))
        return self.asked(row, self.wish(row, parameters, sent), parameters)

    def wish(self, row: VmRow, parameters: Tree, sent: Any) -> Wish:
        """Return what is wanted.

        Raises:
            Invalid: Something that cannot be.
        """
        raise NotImplementedError


class Start(VmAction):
    """Run it, as it is stored or once otherwise; let it run on where it is paused or suspended."""

    def wish(self, row: VmRow, parameters: Tree, sent: Any) -> Wish:
        """Run once where the request says anything that differs from what is stored."""
        _check_initialization(parameters, sent)
        (shown,) = self.shown([row], next_run=True)
        options = options_of(sent.get("vm") or "", shown, paused=parameters.get("pause", False))
        return Wish(Action.RUN) if options == AS_STORED else Wish(Action.RUN_ONCE, options=options)


def _check_initialization(parameters: Tree, sent: Any) -> None:
    asked = [name for name in _INITIALIZING if parameters.get(name)]
    if {"use_cloud_init", "use_sysprep"} <= set(asked):
        raise Conflict("Cannot run VM. Cloud-Init and Sysprep cannot be used together.")
    if any(True for _ in leaves(sent.get("authorized_key"))):
        asked.append("authorized_key")
    if asked:
        raise Invalid(f"{asked[0]} cannot be used: this portal initializes no guest.")


class Stop(VmAction):
    """Power it off."""

    def wish(self, row: VmRow, parameters: Tree, sent: Any) -> Wish:
        """Ask no guest. `force` means nothing here: it is as forced as can be."""
        return Wish(Action.POWER_OFF)


class ShutDown(VmAction):
    """Shut it down, subject to its policy."""

    def wish(self, row: VmRow, parameters: Tree, sent: Any) -> Wish:
        """Reboot instead where the request says so."""
        action = Action.REBOOT if parameters.get("reboot") else Action.SHUT_DOWN
        return Wish(action, Setting(parameters.get("force"), parameters.get("graceful_delay")))


class Reboot(VmAction):
    """Shut it down, then run it, subject to its policy."""

    def wish(self, row: VmRow, parameters: Tree, sent: Any) -> Wish:
        """Override the policy as far as the request says so."""
        return Wish(Action.REBOOT, Setting(parameters.get("force"), parameters.get("graceful_delay")))


class PowerCycle(VmAction):
    """The forced reboot: power it off, then run it."""

    def wish(self, row: VmRow, parameters: Tree, sent: Any) -> Wish:
        """Ask no guest."""
        return Wish(Action.POWER_CYCLE)


class Suspend(VmAction):
    """Save its memory."""

    def wish(self, row: VmRow, parameters: Tree, sent: Any) -> Wish:
        """Nothing more can be said."""
        return Wish(Action.SUSPEND)

"""Whether a VM has a screen that a person could look at, by the last look at it."""

from __future__ import annotations

from enum import StrEnum

from vms.domain.observation import DomainState
from vms.domain.power import VmStatus


class NoScreen(StrEnum):
    """Why there is nothing to see."""

    DOWN = "down"
    HOST_AWAY = "host_away"
    GONE = "gone"


_WHATEVER_IT_DID = {
    VmStatus.GONE: NoScreen.GONE,
    VmStatus.NOT_RESPONDING: NoScreen.HOST_AWAY,
    VmStatus.UNKNOWN: NoScreen.HOST_AWAY,
}


def no_screen(status: VmStatus, state: DomainState) -> NoScreen | None:
    """Return why a VM shows no screen now; None when it shows one.

    The status alone does not tell: of a reboot, the VM is down for a part.
    """
    if status in _WHATEVER_IT_DID:
        return _WHATEVER_IT_DID[status]
    return NoScreen.DOWN if state is DomainState.DOWN else None

"""`vms.domain.screen`."""

from __future__ import annotations

import pytest

from vms.domain.observation import DomainState
from vms.domain.power import VmStatus
from vms.domain.screen import NoScreen, no_screen


@pytest.mark.parametrize(
    ("status", "state", "why"),
    [
        (VmStatus.UP, DomainState.RUNNING, None),
        (VmStatus.POWERING_UP, DomainState.RUNNING, None),
        (VmStatus.PAUSED, DomainState.PAUSED, None),
        (VmStatus.UP, DomainState.SLEEPING, None),
        (VmStatus.REBOOT_IN_PROGRESS, DomainState.RUNNING, None),
        (VmStatus.REBOOT_IN_PROGRESS, DomainState.DOWN, NoScreen.DOWN),
        (VmStatus.DOWN, DomainState.DOWN, NoScreen.DOWN),
        (VmStatus.SUSPENDED, DomainState.DOWN, NoScreen.DOWN),
        (VmStatus.NOT_RESPONDING, DomainState.RUNNING, NoScreen.HOST_AWAY),
        (VmStatus.UNKNOWN, DomainState.RUNNING, NoScreen.HOST_AWAY),
        (VmStatus.GONE, DomainState.RUNNING, NoScreen.GONE),
    ],
)
def test_a_screen_is_there_while_a_run_is(status: VmStatus, state: DomainState, why: NoScreen | None) -> None:
    assert no_screen(status, state) is why

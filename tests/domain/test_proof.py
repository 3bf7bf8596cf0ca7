"""What shows that a VM is back, and that nothing counts as up without it."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.domain.simulator import moment
from vms.domain.observation import DomainState, Observation, Proof, is_up, proof_of_return

pytestmark = pytest.mark.behaviour(35)

BARE = Observation(DomainState.RUNNING)
SILENT = Observation(DomainState.RUNNING, agent_channel=True)
ANSWERING = Observation(DomainState.RUNNING, agent_channel=True, agent_connected=True)
STARTED, SOON, LATE = moment(0), moment(59.9), moment(60)


@pytest.mark.parametrize(
    ("seen", "since", "now", "proof", "up"),
    [
        (ANSWERING, STARTED, SOON, Proof.AGENT, True),
        (ANSWERING, None, LATE, Proof.AGENT, True),
        (BARE, STARTED, SOON, Proof.RUNNING, True),
        (BARE, STARTED, LATE, Proof.RUNNING, True),
        (SILENT, STARTED, SOON, Proof.RUNNING, False),
        (SILENT, STARTED, LATE, Proof.AGENT_LATE, True),
        (SILENT, None, LATE, Proof.RUNNING, False),
        (Observation(DomainState.SLEEPING), STARTED, SOON, Proof.ASLEEP, True),
        (Observation(DomainState.PAUSED), STARTED, SOON, Proof.PAUSED, False),
        (Observation(DomainState.DOWN), None, LATE, None, False),
    ],
)
def test_what_shows_that_a_vm_is_back(
    seen: Observation, since: datetime | None, now: datetime, proof: Proof | None, up: bool
) -> None:
    assert proof_of_return(seen, since, now) is proof
    assert is_up(seen, since, now) is up

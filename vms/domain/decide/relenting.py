"""Taking back what was done to a run which is left running after all.

No intent outlives its operation: a guest that resets later must not end its run by what a past operation armed.
"""

from __future__ import annotations

from vms.domain.decide import pace
from vms.domain.decide.moves import Call, Finish, Move
from vms.domain.observation import Observation
from vms.domain.operation import Operation, StepKind


def leave_running(op: Operation, seen: Observation, finish: Finish) -> Move:
    """End the operation without the VM having gone down: take back every intent first."""
    if seen.down or not _may_be_armed(op, seen):
        return finish
    relents = op.all(StepKind.RELENT)
    if any(step.ok for step in relents) or len(relents) >= pace.MAX_UNANSWERED_ASKS:
        return finish
    return Call(StepKind.RELENT, op.stage)


def _may_be_armed(op: Operation, seen: Observation) -> bool:
    """True when a reset by the guest may end this run: by our doing, or by that of an operation this one superseded."""
    if op.run_token is None:
        # The answer to our mark may be lost.
        return seen.reset_ends_run and op.last(StepKind.PREPARE) is not None
    return seen.run_token == op.run_token and ((op.graceful and not op.inside) or seen.reset_ends_run)

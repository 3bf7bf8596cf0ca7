"""What a decision can be: call the hypervisor, note what was seen, wait, or finish."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from vms.domain.operation import Failure, Outcome, Stage, StepKind


@dataclass(frozen=True, slots=True)
class Call:
    """Ask the hypervisor for something; the operation is in `stage` from just before the call.

    Attributes:
        starts_delay: This is the first ask that is known to reach the guest: the graceful delay is counted from here.
        target: Which disk it is about, where it is about one.
    """

    kind: StepKind
    stage: Stage
    starts_delay: bool = False
    target: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Write down what was seen, and go on from `stage`.

    Attributes:
        brought_down: How the VM went down, or was restarted.
        falls_back: From now on the VM is brought down and run again, instead of restarted inside.
    """

    kind: StepKind
    stage: Stage
    brought_down: Outcome | None = None
    falls_back: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing before `until`, unless something is heard of the VM first."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Finish:
    """End the operation."""

    outcome: Outcome
    failure: Failure = Failure.NONE


Move = Call | Note | Wait | Finish

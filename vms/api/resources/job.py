"""What a job looks like, and a step of one: an operation with its journal, or what another program does.

Source: REST contract, 3 and 4.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from vms.api.declare import Group, Kind, Reference, Resource, Scalar
from vms.api.ids import Row, id_of
from vms.domain.operation import CALLS, Outcome, StepKind
from vms.models import ExternalJob, ExternalStep, Operation, OperationStep

STATUSES = ("started", "finished", "failed", "aborted", "unknown")
#: Outcomes with which an operation was ended instead of ending.
_ABORTED = (Outcome.CANCELLED, Outcome.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is shown.

    Attributes:
        updated: When anything is known to have happened to it last.
        owner: Whose it is, the key of a person.
        operation: None for what another program does.
    """

    id: UUID
    description: str
    status: str
    started: datetime
    ended: datetime | None
    updated: datetime
    owner: int | None
    correlation_id: str
    operation: Operation | None = None
    auto_cleared: bool = False

    @classmethod
    def of(cls, source: Operation | ExternalJob) -> Job:
        """Make one of what it is in the database."""
        if isinstance(source, ExternalJob):
            return cls(
                id=source.pk,
                description=source.description,
                status=source.state,
                started=source.started_at,
                ended=source.ended_at,
                updated=source.ended_at or source.started_at,
                owner=source.actor_id,
                correlation_id=source.correlation_id,
                auto_cleared=source.auto_cleared,
            )
        return cls(
            id=source.pk,
            description=f"{source.get_action_display()} {source.vm.name}",
            status=_status_of(source),
            started=source.created_at,
            ended=source.ended_at,
            updated=source.ended_at or source.looked_at or source.created_at,
            owner=source.actor_id,
            correlation_id=source.correlation_id,
            operation=source,
        )


def _status_of(operation: Operation) -> str:
    if operation.active:
        return "started"
    if operation.succeeded:
        return "finished"
    return "aborted" if operation.outcome in _ABORTED else "failed"


JOB: Resource[Job] = Resource(
    name="job",
    plural="jobs",
    path="jobs",
    id_of=lambda job: job.id,
    actions=("clear", "end"),
    links=("steps",),
    members=(
        Scalar("description", Kind.TEXT, lambda job: job.description, written=True, longest=1000),
        Scalar("status", Kind.TEXT, lambda job: job.status, words=STATUSES, written=True),
        Scalar("start_time", Kind.MOMENT, lambda job: job.started),
        Scalar("end_time", Kind.MOMENT, lambda job: job.ended),
        Scalar("last_updated", Kind.MOMENT, lambda job: job.updated),
        Scalar("external", Kind.FLAG, lambda job: job.operation is None, written=True),
        Scalar("auto_cleared", Kind.FLAG, lambda job: job.auto_cleared, written=True),
        Reference("owner", "users", lambda job: job.owner and id_of(Row.USER, job.owner)),
        Scalar("correlation_id", Kind.TEXT, lambda job: job.correlation_id or None),
        Group(
            "operation",
            (
                Scalar("action", Kind.TEXT, lambda it: it.action),
                Scalar("stage", Kind.TEXT, lambda it: it.stage),
                Scalar("outcome", Kind.TEXT, lambda it: it.outcome or None),
                Scalar("failure", Kind.TEXT, lambda it: it.failure or None),
                Scalar("failure_detail", Kind.TEXT, lambda it: it.failure_detail or None),
                Scalar("reason", Kind.TEXT, lambda it: it.reason or None),
                Scalar("force", Kind.FLAG, lambda it: it.force),
                Scalar("graceful_delay", Kind.WHOLE, lambda it: it.delay, "Seconds."),
                Scalar("deadline", Kind.MOMENT, lambda it: it.deadline_at, "End of the graceful delay."),
                Scalar("hard_deadline", Kind.MOMENT, lambda it: it.hard_deadline_at, "It ends by then in any case."),
                Reference("vm", "vms", lambda it: it.vm_id),
                Reference("superseded_by", "jobs", lambda it: it.superseded_by_id),
            ),
            of=lambda job: job.operation,
            doc="What the portal does; nothing for a job of another program.",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A step as it is shown."""

    id: UUID
    job: UUID
    number: int
    description: str
    status: str
    started: datetime
    ended: datetime | None
    external: bool = False
    detail: str = ""

    @classmethod
    def of(cls, source: OperationStep, *, active: bool) -> Step:
        """Make one of a line of an operation's journal.

        Args:
            active: The operation has not ended.
        """
        called = StepKind(source.kind) in CALLS
        return cls(
            id=id_of(Row.STEP, source.pk),
            job=source.operation_id,
            number=source.number,
            description=" ".join(filter(None, (source.get_kind_display(), source.target))),
            status=_step_status(source, active=active) if called else "finished",
            started=source.at,
            ended=source.answered_at if called else source.at,
            detail=source.detail,
        )

    @classmethod
    def of_other(cls, source: ExternalStep, number: int) -> Step:
        """Make one of what another program does."""
        return cls(
            id=source.pk,
            job=source.job_id,
            number=number,
            description=source.description,
            status=source.state,
            started=source.started_at,
            ended=source.ended_at,
            external=True,
        )


def _step_status(call: OperationStep, *, active: bool) -> str:
    if call.answered_at is not None:
        return "finished" if call.ok else "failed"
    return "started" if active else "unknown"


STEP: Resource[Step] = Resource(
    name="step",
    plural="steps",
    path=lambda step: f"jobs/{step.job}/steps",
    id_of=lambda step: step.id,
    actions=("end",),
    members=(
        Scalar("description", Kind.TEXT, lambda step: step.description, written=True, longest=1000),
        Scalar("status", Kind.TEXT, lambda step: step.status, words=STATUSES, written=True),
        Scalar("number", Kind.WHOLE, lambda step: step.number),
        Scalar("type", Kind.TEXT, lambda step: "executing"),
        Scalar("start_time", Kind.MOMENT, lambda step: step.started),
        Scalar("end_time", Kind.MOMENT, lambda step: step.ended),
        Scalar("external", Kind.FLAG, lambda step: step.external),
        Scalar("detail", Kind.TEXT, lambda step: step.detail or None, "What the host answered."),
        Reference("job", "jobs", lambda step: step.job),
    ),
)

"""The addresses of jobs and their steps. Source: REST contract, 3."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from vms import actions, api_queries, queries
from vms.api.collections import Collection
from vms.api.declare import Kind, Resource, Scalar, read
from vms.api.endpoint import Endpoint, as_uuid
from vms.api.faults import Conflict, Incomplete, NotFound
from vms.api.resources.job import JOB, STEP, Job, Step
from vms.api.resources.listed import MOST_OF_HISTORY, done, found
from vms.correlation import correlation_id
from vms.models import ExternalJob, ExternalStep, Operation

_OURS = "The portal ends its own jobs, and keeps them as history."


class _Jobs(Endpoint):
    resource: ClassVar[Resource[Any]] = JOB

    def job(self, job_id: str) -> Operation | ExternalJob:
        """Return one that the person may see.

        Raises:
            NotFound: There is none of this id for them.
        """
        ours = queries.operations(self.request.user).select_related("vm").filter(pk=as_uuid(job_id)).first()
        return ours or found(api_queries.external_jobs(self.request.user), pk=as_uuid(job_id))

    def external(self, job_id: str) -> ExternalJob:
        """Return a job of another program.

        Raises:
            NotFound: There is none of this id for the person.
            Conflict: It is the portal's own.
        """
        job = self.job(job_id)
        if isinstance(job, Operation):
            raise Conflict(_OURS)
        return job


class JobCollection(Collection):
    """All jobs that somebody may see."""

    resource = JOB
    most = MOST_OF_HISTORY

    def rows(self) -> QuerySet[Any]:
        """Return which there are, newest first."""
        return api_queries.jobs(self.request.user)

    def sources(self, rows: Any) -> Iterable[Job]:
        """Return them as they are shown."""
        return [Job.of(job) for job in api_queries.read_jobs(list(rows))]

    def post(self, request: Request) -> Response:
        """Keep that another program has begun something."""
        sent = JOB.read(request.data)
        if not sent.get("description"):
            raise Incomplete("Job [description] required for add")
        job = actions.begin_job(
            request.user,
            description=sent["description"],
            auto_cleared=sent.get("auto_cleared", True),
            correlation_id=correlation_id(),
        )
        return self.one(Job.of(job), HTTPStatus.CREATED)


class SingleJob(_Jobs):
    """One job."""

    def get(self, request: Request, job_id: str) -> Response:
        """Show it."""
        return self.one(Job.of(self.job(job_id)))


#: What ending something says of it.
_ENDING: tuple[Scalar[None], ...] = (
    Scalar("succeeded", Kind.FLAG, lambda it: None, written=True),
    Scalar("force", Kind.FLAG, lambda it: None, written=True),
)


def _succeeded(request: Request) -> bool:
    """Say whether what is ended has succeeded: yes, unless the client says otherwise."""
    return bool(read(_ENDING, request.data, "action").get("succeeded", True))


class EndJob(_Jobs):
    """Keep that another program's job has ended."""

    is_action = True

    def post(self, request: Request, job_id: str) -> Response:
        """Have it ended."""
        actions.end_job(request.user, self.external(job_id), succeeded=_succeeded(request))
        return done()


class ClearJob(_Jobs):
    """Forget another program's job."""

    is_action = True

    def post(self, request: Request, job_id: str) -> Response:
        """Have it forgotten."""
        actions.clear_job(request.user, self.external(job_id))
        return done()


class _Steps(_Jobs):
    resource = STEP

    def steps(self, job_id: str) -> Sequence[Step]:
        """Return a job's steps, oldest first."""
        job = self.job(job_id)
        if isinstance(job, Operation):
            return [Step.of(step, active=job.active) for step in job.steps.order_by("number")]
        return [Step.of_other(step, number) for number, step in enumerate(job.steps.all(), 1)]


class StepCollection(_Steps, Collection):
    """The steps of one job."""

    def rows(self) -> Sequence[Step]:
        """Return them, oldest first."""
        return self.steps(self.kwargs["job_id"])

    def post(self, request: Request, job_id: str) -> Response:
        """Keep that another program has begun a step of its job."""
        job, sent = self.external(job_id), STEP.read(request.data)
        if not sent.get("description"):
            raise Incomplete("Step [description] required for add")
        step = actions.begin_step(request.user, job, description=sent["description"])
        return self.one(Step.of_other(step, job.steps.count()), HTTPStatus.CREATED)


class SingleStep(_Steps):
    """One step."""

    def get(self, request: Request, job_id: str, step_id: str) -> Response:
        """Show it."""
        wanted = as_uuid(step_id)
        for step in self.steps(job_id):
            if step.id == wanted:
                return self.one(step)
        raise NotFound("There is no such step.")


class EndStep(_Steps):
    """Keep that a step of another program's job has ended."""

    is_action = True

    def post(self, request: Request, job_id: str, step_id: str) -> Response:
        """Have it ended."""
        step: ExternalStep = found(self.external(job_id).steps.all(), pk=as_uuid(step_id))
        actions.end_step(request.user, step, succeeded=_succeeded(request))
        return done()

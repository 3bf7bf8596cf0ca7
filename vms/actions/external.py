"""What other programs write into the portal's records: events, and jobs with their steps, of their own doing."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from vms import permissions
from vms.actions.common import Actor, Refused
from vms.engine.records import Code, record
from vms.models import Event, ExternalEvent, ExternalJob, ExternalStep, Host, VirtualMachine
from vms.models.external import ExternalTask

#: What is worse than an error to oVirt is one here, told apart by its code.
_SEVERITIES: dict[str, tuple[Code, Event.Severity]] = {
    "normal": (Code.EXTERNAL_NORMAL, Event.Severity.NORMAL),
    "warning": (Code.EXTERNAL_WARNING, Event.Severity.WARNING),
    "error": (Code.EXTERNAL_ERROR, Event.Severity.ERROR),
    "alert": (Code.EXTERNAL_ALERT, Event.Severity.ERROR),
}
State = ExternalTask.State


def add_event(
    actor: Actor,
    *,
    origin: str,
    custom_id: int,
    severity: str,
    message: str,
    vm: VirtualMachine | None = None,
    host: Host | None = None,
    correlation_id: str,
) -> Event:
    """Keep what a program tells.

    Args:
        origin: What the program calls itself.
        custom_id: What it calls the event.
        severity: `normal`, `warning`, `error` or `alert`.
        vm: What it is about; or a host.

    Raises:
        PermissionDenied: The actor may not have programs write into the records of this VM, or of the portal.
    """
    permissions.require(permissions.may_add_events(actor, vm))
    code, kept_as = _SEVERITIES[severity]
    with transaction.atomic():
        event = record(code, message, severity=kept_as, vm=vm, host=host, actor=actor, correlation_id=correlation_id)
        ExternalEvent.objects.create(event=event, origin=origin, custom_id=custom_id)
    return event


def withdraw_event(actor: Actor, event: Event) -> None:
    """Have what a program told listed to programs no more. The portal's history keeps it.

    Raises:
        PermissionDenied: The actor may not.
        Refused: It is the portal's own.
    """
    permissions.require(permissions.may_delete_events(actor, event.vm))
    withdrawn = ExternalEvent.objects.filter(event=event).update(withdrawn_at=timezone.now())
    if not withdrawn:
        raise Refused(_("The portal's own events are history, which is kept."))


def begin_job(actor: Actor, *, description: str, auto_cleared: bool, correlation_id: str) -> ExternalJob:
    """Keep that a program has begun something.

    Raises:
        PermissionDenied: The actor may not have programs write into the portal's records.
    """
    permissions.require(permissions.may_add_events(actor))
    return ExternalJob.objects.create(
        description=description,
        auto_cleared=auto_cleared,
        actor_id=actor.pk,
        actor_name=actor.get_username(),
        correlation_id=correlation_id,
    )


def end_job(actor: Actor, job: ExternalJob, *, succeeded: bool) -> None:
    """Keep that it has ended, with all of its steps that had not; one that has ended already stays as it is.

    Raises:
        PermissionDenied: The actor may not have programs write into the portal's records.
    """
    permissions.require(permissions.may_add_events(actor))
    with transaction.atomic():
        ended = ExternalJob.objects.filter(pk=job.pk, state=State.STARTED).update(**_end(succeeded=succeeded))
        if ended:
            ExternalStep.objects.filter(job=job, state=State.STARTED).update(**_end(succeeded=succeeded))


def clear_job(actor: Actor, job: ExternalJob) -> None:
    """Forget a job and its steps.

    Raises:
        PermissionDenied: The actor may not have programs write into the portal's records.
    """
    permissions.require(permissions.may_add_events(actor))
    job.delete()


def begin_step(actor: Actor, job: ExternalJob, *, description: str) -> ExternalStep:
    """Keep that a program has begun a step of its job.

    Raises:
        PermissionDenied: The actor may not have programs write into the portal's records.
        Refused: The job has ended.
    """
    permissions.require(permissions.may_add_events(actor))
    with transaction.atomic():
        # Whoever ends the job ends its steps, and has to see this one.
        held = ExternalJob.objects.select_for_update().filter(pk=job.pk, state=State.STARTED).first()
        if held is None:
            raise Refused(_("The job has ended."))
        return ExternalStep.objects.create(job=held, description=description)


def end_step(actor: Actor, step: ExternalStep, *, succeeded: bool) -> None:
    """Keep that a step has ended; one that has ended already stays as it is.

    Raises:
        PermissionDenied: The actor may not have programs write into the portal's records.
    """
    permissions.require(permissions.may_add_events(actor))
    ExternalStep.objects.filter(pk=step.pk, state=State.STARTED).update(**_end(succeeded=succeeded))


def _end(*, succeeded: bool) -> dict[str, object]:
    return {"state": State.FINISHED if succeeded else State.FAILED, "ended_at": timezone.now()}

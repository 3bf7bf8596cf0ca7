"""What other programs have written into the portal's records: events, and jobs with their steps, of their own doing."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vms.models.events import Event


class ExternalEvent(models.Model):
    """That an event was told by another program, and what that calls it."""

    event = models.OneToOneField(Event, on_delete=models.CASCADE, primary_key=True, related_name="external")
    origin = models.CharField(_("origin"), max_length=255)
    custom_id = models.BigIntegerField(_("custom id"))
    #: History is kept; what was told by mistake is no longer listed to programs.
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True)

    class Meta:
        verbose_name = _("external event")
        verbose_name_plural = _("external events")
        # Whoever may see, add or delete events may do so with these.
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.origin} {self.custom_id}"


class ExternalTask(models.Model):
    """Something that another program does and tells the portal of: what it is, and how it ended."""

    class State(models.TextChoices):
        """oVirt's words."""

        STARTED = "started", _("Started")
        FINISHED = "finished", _("Finished")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    description = models.CharField(_("description"), max_length=1000)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.STARTED)
    started_at = models.DateTimeField(_("started"), default=timezone.now, db_index=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        abstract = True
        default_permissions = ()

    def __str__(self) -> str:
        return self.description


class ExternalJob(ExternalTask):
    """A job of another program."""

    auto_cleared = models.BooleanField(_("cleared by itself"), default=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_name = models.CharField(_("actor"), max_length=150)
    correlation_id = models.CharField(_("correlation id"), max_length=36, blank=True, db_index=True)

    class Meta(ExternalTask.Meta):
        ordering = ["-started_at", "-id"]
        verbose_name = _("external job")
        verbose_name_plural = _("external jobs")
        constraints = [
            models.CheckConstraint(
                condition=Q(state="started", ended_at__isnull=True) | (~Q(state="started") & Q(ended_at__isnull=False)),
                name="external_job_ended",
            )
        ]


class ExternalStep(ExternalTask):
    """A step of such a job."""

    job = models.ForeignKey(ExternalJob, on_delete=models.CASCADE, related_name="steps")

    class Meta(ExternalTask.Meta):
        ordering = ["started_at", "id"]
        verbose_name = _("external step")
        verbose_name_plural = _("external steps")
        constraints = [
            models.CheckConstraint(
                condition=Q(state="started", ended_at__isnull=True) | (~Q(state="started") & Q(ended_at__isnull=False)),
                name="external_step_ended",
            )
        ]

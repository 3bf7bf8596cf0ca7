"""Events: history, to which rows are only ever added."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vms.models.hosts import Host
from vms.models.machines import VirtualMachine
from vms.models.operations import Operation


class EventQuerySet(models.QuerySet["Event"]):
    """Events, which are not deleted like other rows: only vms.engine.retention lets the old ones go."""

    def delete(self) -> NoReturn:
        """Refuse: history is not rewritten."""
        _refuse_to_rewrite()


def _refuse_to_rewrite() -> NoReturn:
    raise TypeError("events are history: they are added, never changed or deleted")


class Event(models.Model):
    """Something that happened, in words: rows are added, never changed, and kept for as long as history is kept."""

    class Severity(models.TextChoices):
        """oVirt's words."""

        NORMAL = "normal", _("Normal")
        WARNING = "warning", _("Warning")
        ERROR = "error", _("Error")

    at = models.DateTimeField(_("time"), default=timezone.now, db_index=True)
    code = models.PositiveIntegerField(_("code"), db_index=True, help_text=_("oVirt's number; own ones from 100001."))
    severity = models.CharField(_("severity"), max_length=8, choices=Severity.choices, default=Severity.NORMAL)
    message = models.TextField(_("message"))
    vm = models.ForeignKey(VirtualMachine, null=True, on_delete=models.SET_NULL, related_name="events")
    host = models.ForeignKey(Host, null=True, on_delete=models.SET_NULL, related_name="events")
    operation = models.ForeignKey(Operation, null=True, on_delete=models.SET_NULL, related_name="events")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_name = models.CharField(_("actor"), max_length=150, blank=True)
    correlation_id = models.CharField(_("correlation id"), max_length=36, blank=True, db_index=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("event")
        verbose_name_plural = _("events")

    def __str__(self) -> str:
        return self.message

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the event.

        Raises:
            TypeError: It exists already; history is not rewritten.
        """
        if not self._state.adding:
            _refuse_to_rewrite()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: history is not rewritten."""
        _refuse_to_rewrite()

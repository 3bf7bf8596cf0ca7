"""Who wants to be told by mail how operations end, and the mails to them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vms import labels
from vms.domain import notice
from vms.models.operations import Operation
from vms.models.tags import Tag


class Subscription(models.Model):
    """One person's wish to be mailed when an operation ends in a certain way, on VMs with a tag or on any."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="subscriptions", verbose_name=_("person")
    )
    outcome = models.CharField(_("outcome"), max_length=16, choices=labels.outcome_choices)
    tag = models.ForeignKey(
        Tag, null=True, blank=True, on_delete=models.CASCADE, related_name="subscriptions", verbose_name=_("tag")
    )

    class Meta:
        ordering = ["user", "tag", "outcome"]
        verbose_name = _("mail subscription")
        verbose_name_plural = _("mail subscriptions")
        constraints = [
            models.UniqueConstraint(fields=["user", "tag", "outcome"], name="subscription_once_per_tag"),
            models.UniqueConstraint(
                fields=["user", "outcome"], condition=Q(tag__isnull=True), name="subscription_once_for_all"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=[outcome.value for outcome in notice.OUTCOMES]),
                name="subscription_outcome",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_outcome_display()}, {self.tag or _('all virtual machines')}"


class Mail(models.Model):
    """One mail to one person about an operation that ended: written in the same transaction, sent by vms.outbox."""

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", _("Waiting")
        SENDING = "sending", _("Sending")
        SENT = "sent", _("Sent")
        WITHHELD = "withheld", _("Withheld")
        GIVEN_UP = "given_up", _("Given up")

    UNSENT = (State.WAITING, State.SENDING)

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("person")
    )
    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="mails")
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    error = models.TextField(_("last error"), blank=True)
    created_at = models.DateTimeField(_("written"), default=timezone.now)
    #: When to try next; of one that is being sent: when its sender counts as dead.
    due_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    sent_at = models.DateTimeField(_("sent"), null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        constraints = [models.UniqueConstraint(fields=["operation", "user"], name="mail_once_per_operation")]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state__in=["waiting", "sending"]), name="mail_due"),
        ]

    def __str__(self) -> str:
        return f"{self.operation_id}, {self.user_id}"

"""Whom the portal tells of events by HTTP, and the deliveries to them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vms.domain import webhook
from vms.models.events import Event
from vms.models.tags import Tag


class Webhook(models.Model):
    """An address that events are posted to: those of chosen kinds, on VMs with chosen tags, that its owner may see."""

    name = models.CharField(_("name"), max_length=50)
    url = models.CharField(
        _("URL"), max_length=webhook.LONGEST_URL, help_text=_("https://… Events are posted to it as JSON.")
    )
    #: Kept as it is: signing needs it. Shown to nobody after it was made.
    secret = models.CharField(_("secret"), max_length=100, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="webhooks",
        editable=False,
        verbose_name=_("owner"),
        help_text=_("Nothing is told that this person may not see."),
    )
    codes = models.JSONField(_("events"), default=list, blank=True, help_text=_("None chosen are all."))
    severity = models.CharField(
        _("from severity"), max_length=8, choices=Event.Severity.choices, default=Event.Severity.NORMAL
    )
    tags = models.ManyToManyField(
        Tag,
        blank=True,
        related_name="webhooks",
        verbose_name=_("tags"),
        help_text=_("Only events of virtual machines that bear one of them. None chosen are all events."),
    )
    #: Whether tags were chosen: when the last of them is deleted, none are left, and that is not all.
    tagged_only = models.BooleanField(_("by tag only"), default=False, editable=False)
    active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("added"), default=timezone.now, editable=False)
    #: Each webhook has its turn: the one whose last attempt is the longest ago.
    tried_at = models.DateTimeField(_("last attempt"), default=timezone.now, editable=False)
    #: Since when nothing was taken, and how many attempts in a row failed.
    failing_since = models.DateTimeField(_("failing since"), null=True, editable=False)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0, editable=False)
    #: A receiver in trouble is left alone as a whole for so long, however many deliveries wait.
    not_before = models.DateTimeField(_("not before"), default=timezone.now, editable=False)

    class Meta:
        ordering = [Lower("name")]
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        constraints = [
            models.UniqueConstraint(Lower("name"), name="webhook_once"),
            models.CheckConstraint(condition=Q(severity__in=webhook.SEVERITIES), name="webhook_severity"),
        ]

    def __str__(self) -> str:
        return self.name

    def chooses(self, event: Event) -> bool:
        """Say whether an event is of a kind that was chosen."""
        return webhook.chooses(self.codes, self.severity, event.code, event.severity)

    def forgive(self) -> None:
        """Forget what went wrong: the next attempt may be made at once."""
        self.failing_since, self.failures, self.not_before = None, 0, timezone.now()


class WebhookDelivery(models.Model):
    """One event for one webhook: written in the same transaction as the event, delivered by vms.webhooks."""

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", _("Waiting")
        SENDING = "sending", _("Sending")
        DELIVERED = "delivered", _("Delivered")
        WITHHELD = "withheld", _("Withheld")
        GIVEN_UP = "given_up", _("Given up")

    UNDELIVERED = (State.WAITING, State.SENDING)

    #: What the receiver knows it by.
    key = models.UUIDField(_("delivery"), default=uuid.uuid4, unique=True, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("webhook"))
    event = models.ForeignKey(
        Event, null=True, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("event")
    )  # none is a test
    state = models.CharField(_("state"), max_length=9, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    answer = models.CharField(_("last answer"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("written"), default=timezone.now)
    #: When to try next; of one that is being sent: when its sender counts as dead.
    due_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    delivered_at = models.DateTimeField(_("delivered"), null=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        constraints = [models.UniqueConstraint(fields=["webhook", "event"], name="webhook_delivery_once_per_event")]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state__in=["waiting", "sending"]), name="webhook_delivery_due"),
        ]

    def __str__(self) -> str:
        return str(self.key)

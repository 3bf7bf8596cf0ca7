"""Requests for several VMs at once, and the VMs that were refused; those that were not have operations."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vms import labels
from vms.domain import bulk
from vms.models.machines import VirtualMachine


class Bulk(models.Model):
    """One action on several VMs, asked for at once. Its operations are in flight up to a cap; the others queue."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    action = models.CharField(_("action"), max_length=16, choices=labels.action_choices)
    asked_for = models.PositiveIntegerField(_("virtual machines asked for"))
    cap = models.PositiveIntegerField(_("at most in flight"))
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", verbose_name=_("asked by")
    )
    actor_name = models.CharField(_("asked by"), max_length=150)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    correlation_id = models.CharField(_("correlation id"), max_length=36, db_index=True)
    created_at = models.DateTimeField(_("accepted"), default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = _("bulk request")
        verbose_name_plural = _("bulk requests")
        constraints = [
            models.CheckConstraint(condition=Q(cap__range=(1, bulk.MAX_IN_FLIGHT)), name="bulk_cap_range"),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} × {self.asked_for}"

    def get_absolute_url(self) -> str:
        """Return the address of the bulk's page."""
        return reverse("bulk_detail", args=[self.pk])


class BulkRefusal(models.Model):
    """A VM of a bulk that its action was not accepted for, and why."""

    bulk = models.ForeignKey(Bulk, on_delete=models.CASCADE, related_name="refusals")
    vm = models.ForeignKey(
        VirtualMachine, on_delete=models.CASCADE, related_name="+", verbose_name=_("virtual machine")
    )
    position = models.PositiveIntegerField()
    reason = models.TextField(_("reason"))
    # By its name: operations refer to their bulk.
    in_the_way = models.ForeignKey("vms.Operation", null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["bulk", "vm"], name="bulk_refuses_vm_once")]

    def __str__(self) -> str:
        return self.reason

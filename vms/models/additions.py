"""VMs that are being added, until their hosts have them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vms.models.machines import VirtualMachine


class Addition(models.Model):
    """A VM that a person adds, until its host has it or will never have it. Written by vms.engine.adding only."""

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", _("Waiting for the host")
        ADDED = "added", _("Added")
        FAILED = "failed", _("Failed")

    vm = models.OneToOneField(VirtualMachine, on_delete=models.CASCADE, related_name="addition")
    #: What it is to be like, as vms.domain.configuration writes it.
    configuration = models.JSONField(default=dict)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_name = models.CharField(_("asked by"), max_length=150)
    correlation_id = models.CharField(_("correlation id"), max_length=36)
    created_at = models.DateTimeField(_("asked for"), default=timezone.now)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.WAITING)
    #: When the host was asked, where its answer is not known: written before the call is made.
    called_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(null=True, default=timezone.now)
    error = models.TextField(_("error"), blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)
        verbose_name = _("added virtual machine")
        verbose_name_plural = _("added virtual machines")
        indexes = [models.Index(fields=["next_at"], condition=Q(state="waiting"), name="addition_due")]

    def __str__(self) -> str:
        return self.vm.name

"""What VMs use, sampled; and what somebody who looks at a VM's page sees of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vms.models.machines import VirtualMachine


class Sample(models.Model):
    """What one VM used up to one moment. Written by vms.engine.sampling only; see vms.domain.usage for the units.

    A row with its places in both indexes takes 220 bytes of SQLite, so 1,000 VMs that always run take some 100 MB.
    """

    vm = models.ForeignKey(VirtualMachine, on_delete=models.CASCADE, related_name="samples", db_index=False)
    at = models.DateTimeField()
    resolution = models.PositiveSmallIntegerField(help_text=_("Seconds that it tells of."))
    cpu = models.FloatField(null=True)
    memory_used = models.PositiveBigIntegerField(null=True)
    memory = models.PositiveBigIntegerField(null=True)
    disk_read = models.PositiveBigIntegerField(null=True)
    disk_written = models.PositiveBigIntegerField(null=True)
    net_received = models.PositiveBigIntegerField(null=True)
    net_sent = models.PositiveBigIntegerField(null=True)

    class Meta:
        verbose_name = _("sample")
        verbose_name_plural = _("samples")
        default_permissions = ()
        indexes = [
            # What a chart is drawn of.
            models.Index(fields=["vm", "resolution", "at"], name="sample_of_vm"),
            # What is old.
            models.Index(fields=["resolution", "at"], name="sample_age"),
        ]

    def __str__(self) -> str:
        return f"{self.vm_id} {self.at:%H:%M:%S}"


class Glimpse(models.Model):
    """What a host told of a VM because somebody looks at its page. Written by vms.engine.glimpses only.

    A table of its own, which holds what is looked at, and that not for long: pictures are large, and whoever reads a
    VM's row has no use for them.
    """

    class Kind(models.TextChoices):
        """What was asked for."""

        SCREEN = "screen", _("Screen")
        GUEST = "guest", _("Guest")
        DEFINITION = "definition", _("Definition")

    vm = models.ForeignKey(VirtualMachine, on_delete=models.CASCADE, related_name="glimpses")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    asked_at = models.DateTimeField(default=timezone.now, help_text=_("When somebody last looked."))
    waits = models.BooleanField(default=True)
    taken_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    #: Of a guest: `vms.hypervisor.base.GuestInfo`.
    facts = models.JSONField(default=dict)
    #: Of a definition.
    text = models.TextField(blank=True)
    #: Of a screen; the size in pixels.
    width = models.PositiveIntegerField(default=0)
    height = models.PositiveIntegerField(default=0)
    png = models.BinaryField(default=bytes)

    class Meta:
        verbose_name = _("glimpse")
        verbose_name_plural = _("glimpses")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["vm", "kind"], name="glimpse_once")]
        indexes = [
            models.Index(fields=["asked_at"], condition=Q(waits=True), name="glimpse_waits"),
            models.Index(fields=["asked_at"], name="glimpse_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.vm_id}"

    @property
    def answered(self) -> bool:
        """True once the host has told something, or why it does not."""
        return self.taken_at is not None or bool(self.error)

"""Hosts, and the tests of a connection that come before a host is added or changed."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vms.domain import host_uri


class HostQuerySet(models.QuerySet["Host"]):
    """Hosts, by whether the portal manages them."""

    def managed(self) -> HostQuerySet:
        """Those that were not removed."""
        return self.filter(removed_at__isnull=True)


class Host(models.Model):
    """A libvirt connection URI that the portal manages."""

    class State(models.TextChoices):
        """Whether the watcher has a connection."""

        NEW = "new", _("Not connected yet")
        CONNECTED = "connected", _("Connected")
        UNREACHABLE = "unreachable", _("Unreachable")

    name = models.CharField(_("name"), max_length=255)
    uri = models.CharField(
        _("connection URI"), max_length=host_uri.LONGEST, unique=True, help_text=_("For example qemu:///system")
    )
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.NEW, editable=False)
    error = models.TextField(_("last error"), blank=True, editable=False)
    hostname = models.CharField(_("host name"), max_length=255, blank=True, editable=False)
    version = models.CharField(_("version"), max_length=255, blank=True, editable=False)
    watched_until = models.DateTimeField(
        _("watched until"),
        null=True,
        editable=False,
        help_text=_("The watcher renews this; once it has passed, nobody hears the host's events."),
    )
    connected_at = models.DateTimeField(_("connected since"), null=True, editable=False)
    #: A host that was removed keeps its row, because the history of its VMs hangs on it.
    removed_at = models.DateTimeField(_("removed"), null=True, editable=False)

    objects = HostQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("host")
        verbose_name_plural = _("hosts")
        constraints = [
            # Not so its URI: a removed host that is added again is the same host, with its VMs and their history.
            models.UniqueConstraint(fields=["name"], condition=Q(removed_at__isnull=True), name="host_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class HostCheck(models.Model):
    """One test of a connection, asked for by somebody who wants to add or change a host; done by the watcher.

    What was asked for is kept with it, so that what is added afterwards is what was tested.
    """

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Connecting")
        PASSED = "passed", _("It works")
        FAILED = "failed", _("It does not work")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.ForeignKey(
        Host, null=True, on_delete=models.CASCADE, related_name="checks", help_text=_("The one that is to be changed.")
    )
    name = models.CharField(_("name"), max_length=255)
    uri = models.CharField(_("connection URI"), max_length=host_uri.LONGEST)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.WAITING, db_index=True)
    error = models.TextField(_("error"), blank=True)
    hostname = models.CharField(_("host name"), max_length=255, blank=True)
    version = models.CharField(_("version"), max_length=255, blank=True)
    vm_count = models.PositiveIntegerField(_("VMs"), default=0)
    created_at = models.DateTimeField(_("asked for"), default=timezone.now, db_index=True)
    started_at = models.DateTimeField(_("started"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("connection test")
        verbose_name_plural = _("connection tests")
        # Whoever may add hosts may test connections.
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} {self.uri}"

    @property
    def ended(self) -> bool:
        """True once its result is there."""
        return self.state in (self.State.PASSED, self.State.FAILED)

"""VMs as they were last seen, and people's changes of their configuration until the hosts have taken them.

The two are one module because each is asked about the other: what a VM's next start will use depends on what waits.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vms import labels
from vms.domain import policy
from vms.domain.configuration import Change, Configuration, Part, pending
from vms.domain.disks import Disk
from vms.domain.observation import DomainState, DownReason, Job, Observation
from vms.domain.power import VmStatus
from vms.models.hosts import Host
from vms.models.tags import Tag


class VirtualMachine(models.Model):
    """One libvirt domain: the last look at it, its power-down policy, and who may act on it now."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="vms", verbose_name=_("host"))
    uuid = models.UUIDField(_("libvirt UUID"), editable=False)
    name = models.CharField(_("name"), max_length=255)
    description = models.TextField(_("description"), blank=True)
    comment = models.TextField(
        _("comment"), blank=True, help_text=_("Kept by the portal; its host knows nothing of it.")
    )
    memory = models.PositiveBigIntegerField(_("memory"), default=0, help_text=_("Bytes."))
    vcpus = models.PositiveIntegerField(_("virtual CPUs"), default=0)
    tags = models.ManyToManyField(Tag, blank=True, related_name="vms", verbose_name=_("tags"))

    force_power_off = models.BooleanField(
        _("power off if the guest does not shut down in time"), null=True, blank=True, default=None
    )
    graceful_delay = models.PositiveIntegerField(
        _("graceful power-down delay"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(policy.MAX_DELAY)],
        help_text=_("Seconds to wait for the guest, 0 to 3600. Empty: the portal default."),
    )

    restart_inside = models.BooleanField(
        _("restart inside the guest"),
        default=False,
        help_text=_("Reboot asks the guest agent to restart the guest, where nothing needs a cold start."),
    )
    apply_on_guest_reboot = models.BooleanField(
        _("apply changes when the guest restarts itself"),
        default=False,
        help_text=_("While changes wait, a restart from inside the guest becomes a cold start that applies them."),
    )
    stateless = models.BooleanField(
        _("stateless"), default=False, help_text=_("What a run writes to its disks is dropped when it ends.")
    )
    delete_protected = models.BooleanField(
        _("delete protection"), default=False, help_text=_("The VM cannot be removed until this is taken off.")
    )

    # The last look at the domain; written by vms.engine.sync only.
    status = models.CharField(
        _("status"), max_length=20, choices=labels.status_choices, default=VmStatus.UNKNOWN.value, db_index=True
    )
    domain_state = models.CharField(max_length=10, default=DomainState.DOWN.value, editable=False)
    down_reason = models.CharField(max_length=10, default=DownReason.UNKNOWN.value, editable=False)
    job = models.CharField(max_length=10, default=Job.NONE.value, editable=False)
    managed_save = models.BooleanField(default=False, editable=False)
    agent_channel = models.BooleanField(default=False, editable=False)
    agent_connected = models.BooleanField(default=False, editable=False)
    acpi = models.BooleanField(default=True, editable=False)
    run_token = models.CharField(max_length=64, blank=True, editable=False)
    run_once = models.BooleanField(default=False, editable=False)
    run_stateless = models.BooleanField(default=False, editable=False)
    stored_configuration = models.JSONField(default=dict, editable=False)
    running_configuration = models.JSONField(null=True, editable=False)
    pending_count = models.PositiveSmallIntegerField(
        _("pending changes"), default=0, editable=False, help_text=_("Counted at each look, so that lists can filter.")
    )
    running_since = models.DateTimeField(null=True, editable=False)
    down_since = models.DateTimeField(null=True, editable=False)
    observed_at = models.DateTimeField(null=True, editable=False)
    #: Its disks by the stored definition, as vms.domain.disks writes them.
    disks = models.JSONField(default=list, editable=False)

    #: When the portal learned of it: no host tells when a domain was made.
    first_seen_at = models.DateTimeField(default=timezone.now, editable=False)
    #: When it was taken off the portal's list, after it was gone; its history is kept. Written by vms.engine.sync only.
    removed_at = models.DateTimeField(null=True, editable=False)

    # The lease: one worker at a time acts on a VM. Written by vms.engine.lease only.
    lease_owner = models.CharField(max_length=200, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    #: When the last worker took the VM to look at it.
    lease_at = models.DateTimeField(null=True, editable=False)
    #: Its host is still to define it. Written by vms.engine.adding only.
    being_added = models.BooleanField(default=False, editable=False)
    #: A `ConfigurationChange` waits for the host.
    change_waits = models.BooleanField(default=False, editable=False)
    #: A restart by the guest is to end this run, so that waiting changes are applied. Written by
    #: vms.engine.guest_restart only.
    armed = models.BooleanField(default=False, editable=False)
    look_again = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ["name", "id"]
        verbose_name = _("virtual machine")
        verbose_name_plural = _("virtual machines")
        # Named after the verbs, not after the model: they are what people are given (see vms.permissions).
        default_permissions = ()
        permissions = [
            ("view_vm", "Can see virtual machines"),
            ("add_vm", "Can add virtual machines"),
            ("change_vm", "Can edit virtual machines"),
            ("run_vm", "Can run and resume virtual machines"),
            ("shut_down_vm", "Can shut down virtual machines"),
            ("power_off_vm", "Can power off virtual machines"),
            ("reboot_vm", "Can reboot virtual machines"),
            ("power_cycle_vm", "Can power cycle virtual machines"),
            ("suspend_vm", "Can suspend virtual machines"),
            ("remove_vm", "Can remove virtual machines"),
            ("console_vm", "Can use the console of virtual machines"),
        ]
        indexes = [
            # All that the list filters and sorts by, so that it counts and orders the fleet without reading the rows,
            # which are ten times as long.
            models.Index(
                "host",
                "removed_at",
                "name",
                "status",
                "vcpus",
                "memory",
                "running_since",
                "pending_count",
                "change_waits",
                "id",
                name="vm_listed",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["host", "uuid"], name="vm_once_per_host"),
            models.CheckConstraint(
                condition=Q(graceful_delay__isnull=True) | Q(graceful_delay__range=(0, policy.MAX_DELAY)),
                name="vm_graceful_delay_range",
            ),
            # No wait at all is only possible where the VM itself may be powered off.
            models.CheckConstraint(
                condition=Q(graceful_delay__isnull=True) | Q(graceful_delay__gt=0) | Q(force_power_off=True),
                name="vm_no_wait_needs_force",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("vm_detail", args=[self.pk])

    # Django would make one by itself, which makes all the words anew each time: a third of a millisecond.
    def get_status_display(self) -> str:  # type: ignore[no-redef]
        """Return its status in words."""
        status = VmStatus(self.status)
        return str(labels.ADDING if self.being_added and status is VmStatus.IMAGE_LOCKED else labels.STATUS[status])

    @property
    def reason_tags(self) -> list[str]:
        """Names of its tags that want a reason for every action. Asks for nothing where the tags were prefetched."""
        return [tag.name for tag in self.tags.all() if tag.reason_required]

    @property
    def disk_list(self) -> tuple[Disk, ...]:
        """Its disks, as the domain layer sees them."""
        return tuple(Disk.of(disk) for disk in self.disks)

    @property
    def policy_setting(self) -> policy.Setting:
        """What this VM itself has set."""
        return policy.Setting(force=self.force_power_off, delay=self.graceful_delay)

    @property
    def stored(self) -> Configuration:
        """What the next cold start will use."""
        return Configuration.of(self.stored_configuration)

    def upcoming(self, waiting: Iterable[ConfigurationChange]) -> Configuration:
        """What the next cold start will use once the host has stored the changes that wait for it, oldest first."""
        fields, running = self.stored.as_json(), self.running_configuration or {}
        for change in waiting:
            fields |= change.values | {part: running[part] for part in change.reverts if part in running}
        return Configuration.of(fields)

    def running_with(self, waiting: Sequence[ConfigurationChange]) -> Configuration | None:
        """What its run was started with, and the description that waits for its host; None where nothing runs.

        The host gives a description to the running VM, too: it needs no cold start.
        """
        if self.running_configuration is None:
            return None
        running = Configuration.of(self.running_configuration)
        if any(Part.DESCRIPTION in change.values for change in waiting):
            running = replace(running, description=self.upcoming(waiting).description)
        return running

    @property
    def pending(self) -> tuple[Change, ...]:
        """What the next cold start will change."""
        return self.pending_with(())

    def pending_with(self, waiting: Sequence[ConfigurationChange]) -> tuple[Change, ...]:
        """What it will change once the host has stored the changes that wait for it, oldest first."""
        if self.running_configuration is None or (
            not waiting and self.running_configuration == self.stored_configuration
        ):
            return ()
        return pending(self.running_with(waiting), self.upcoming(waiting))

    @property
    def seen(self) -> Observation:
        """The last look at the domain, as the domain layer sees it."""
        return Observation(
            state=DomainState(self.domain_state),
            run_token=self.run_token or None,
            down_reason=DownReason(self.down_reason),
            managed_save=self.managed_save,
            agent_channel=self.agent_channel,
            agent_connected=self.agent_connected,
            acpi=self.acpi,
            job=Job(self.job),
            run_once=self.run_once,
            stateless=self.run_stateless,
        )


class ConfigurationChangeQuerySet(models.QuerySet["ConfigurationChange"]):
    """Changes of configurations, by what became of them."""

    def waiting_for(self, vms: Iterable[VirtualMachine]) -> dict[uuid.UUID, list[ConfigurationChange]]:
        """Return what the hosts have not stored yet of these VMs, oldest first; no query where nothing waits."""
        found: dict[uuid.UUID, list[ConfigurationChange]] = {vm.pk: [] for vm in vms if vm.change_waits}
        if found:
            for change in self.filter(vm__in=found, state=ConfigurationChange.State.WAITING).order_by("id"):
                found[change.vm_id].append(change)
        return found


class ConfigurationChange(models.Model):
    """A person's change of what is stored of a VM, until the host has taken it. Written by vms.engine.configuring."""

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", _("Waiting for the host")
        APPLIED = "applied", _("Stored")
        FAILED = "failed", _("Failed")

    vm = models.ForeignKey(VirtualMachine, on_delete=models.CASCADE, related_name="configuration_changes")
    values = models.JSONField(default=dict)
    reverts = models.JSONField(default=list)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_name = models.CharField(_("asked by"), max_length=150)
    correlation_id = models.CharField(_("correlation id"), max_length=36)
    created_at = models.DateTimeField(_("asked for"), default=timezone.now)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(null=True, default=timezone.now)
    error = models.TextField(blank=True)
    ended_at = models.DateTimeField(null=True)

    objects = ConfigurationChangeQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        verbose_name = _("configuration change")
        verbose_name_plural = _("configuration changes")
        indexes = [models.Index(fields=["next_at"], condition=Q(state="waiting"), name="configuration_change_due")]

    def __str__(self) -> str:
        return ", ".join([*self.values, *self.reverts])

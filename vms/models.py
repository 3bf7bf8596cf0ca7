"""The portal's tables, and the rules that the database itself keeps.

What a VM is doing is the hypervisor's to say; these rows hold the last look at it. What we intend with it is said
here: an `Operation` is one durable power action, its `OperationStep`s are its journal, an `Event` is history and never
changes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vms import labels
from vms.domain import bulk, host_uri, policy
from vms.domain import operation as op
from vms.domain.configuration import Change, Configuration, Part, pending
from vms.domain.observation import DomainState, DownReason, Job, Observation, Proof
from vms.domain.power import Action, VmStatus
from vms.domain.run_options import RunOptions

_ENDED = op.Stage.ENDED.value
_QUEUED = op.Stage.QUEUED.value
#: No picture of a screen is kept that is larger, in bytes.
SCREEN_LIMIT = 4 * 1024 * 1024


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


class PortalDefaults(models.Model):
    """The power-down policy of VMs that have not set their own, and the cap of bulks. One row."""

    id = models.SmallAutoField(primary_key=True)
    force = models.BooleanField(_("power off if the guest does not shut down in time"), default=policy.FACTORY_FORCE)
    graceful_delay = models.PositiveIntegerField(
        _("graceful power-down delay"),
        default=policy.FACTORY_DELAY,
        validators=[MinValueValidator(1), MaxValueValidator(policy.MAX_DELAY)],
        help_text=_("Seconds to wait for the guest, 1 to 3600."),
    )
    bulk_in_flight = models.PositiveIntegerField(
        _("virtual machines of one request at a time"),
        default=bulk.FACTORY_IN_FLIGHT,
        validators=[MinValueValidator(1), MaxValueValidator(bulk.MAX_IN_FLIGHT)],
        help_text=_("1 to 1000. At most so many of one request are worked on at a time; the rest queue."),
    )

    class Meta:
        verbose_name = _("portal defaults")
        verbose_name_plural = _("portal defaults")
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="portal_defaults_one_row"),
            models.CheckConstraint(
                condition=Q(graceful_delay__range=(1, policy.MAX_DELAY)), name="portal_defaults_delay_range"
            ),
            models.CheckConstraint(
                condition=Q(bulk_in_flight__range=(1, bulk.MAX_IN_FLIGHT)), name="portal_defaults_in_flight_range"
            ),
        ]

    def __str__(self) -> str:
        return str(_("Portal defaults"))

    @classmethod
    def load(cls) -> PortalDefaults:
        """Return the one row, or the factory settings where nobody has changed them yet."""
        return cls.objects.first() or cls(id=1)

    @property
    def setting(self) -> policy.Setting:
        """The default as the domain sees it."""
        return policy.Setting(force=self.force, delay=self.graceful_delay)


class VirtualMachine(models.Model):
    """One libvirt domain: the last look at it, its power-down policy, and who may act on it now."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="vms", verbose_name=_("host"))
    uuid = models.UUIDField(_("libvirt UUID"), editable=False)
    name = models.CharField(_("name"), max_length=255)
    description = models.TextField(_("description"), blank=True)
    memory = models.PositiveBigIntegerField(_("memory"), default=0, help_text=_("Bytes."))
    vcpus = models.PositiveIntegerField(_("virtual CPUs"), default=0)

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

    # The lease: one worker at a time acts on a VM. Written by vms.engine.lease only.
    lease_owner = models.CharField(max_length=200, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    #: When the last worker took the VM to look at it.
    lease_at = models.DateTimeField(null=True, editable=False)
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
            ("change_vm", "Can edit virtual machines"),
            ("run_vm", "Can run and resume virtual machines"),
            ("shut_down_vm", "Can shut down virtual machines"),
            ("power_off_vm", "Can power off virtual machines"),
            ("reboot_vm", "Can reboot virtual machines"),
            ("power_cycle_vm", "Can power cycle virtual machines"),
            ("suspend_vm", "Can suspend virtual machines"),
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
        """Return the address of the list, narrowed down to this VM."""
        return f"{reverse('vm_list')}?name={self.name}"

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

    @property
    def pending(self) -> tuple[Change, ...]:
        """What the next cold start will change."""
        return self.pending_with(())

    def pending_with(self, waiting: Sequence[ConfigurationChange]) -> tuple[Change, ...]:
        """What it will change once the host has stored the changes that wait for it, oldest first."""
        if self.running_configuration is None:
            return ()
        running, upcoming = Configuration.of(self.running_configuration), self.upcoming(waiting)
        if any(Part.DESCRIPTION in change.values for change in waiting):
            # The host gives it to the running VM too: it needs no cold start.
            running = replace(running, description=upcoming.description)
        return pending(running, upcoming)

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


class OperationQuerySet(models.QuerySet["Operation"]):
    """Operations, by how far they are."""

    def active(self) -> OperationQuerySet:
        """Those that have not ended, queued ones included."""
        return self.exclude(stage=_ENDED)

    def queued(self) -> OperationQuerySet:
        """Those that wait for others of their bulk to end."""
        return self.filter(stage=_QUEUED)

    def in_flight(self) -> OperationQuerySet:
        """Those whose VM is acted upon, or about to be."""
        return self.exclude(stage__in=(_QUEUED, _ENDED))


class Operation(models.Model):
    """One durable power action on one VM. Its stage is written by vms.engine.journal only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    vm = models.ForeignKey(
        VirtualMachine, on_delete=models.PROTECT, related_name="operations", verbose_name=_("virtual machine")
    )
    action = models.CharField(_("action"), max_length=16, choices=labels.action_choices)
    stage = models.CharField(
        _("stage"), max_length=16, choices=labels.stage_choices, default=op.Stage.ACCEPTED.value, editable=False
    )
    outcome = models.CharField(_("outcome"), max_length=16, choices=labels.outcome_choices, blank=True)
    failure = models.CharField(_("failure"), max_length=24, choices=labels.failure_choices, blank=True)
    failure_detail = models.TextField(_("what the host said"), blank=True)

    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", verbose_name=_("asked by")
    )
    actor_name = models.CharField(_("asked by"), max_length=150)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    correlation_id = models.CharField(_("correlation id"), max_length=36, db_index=True)

    bulk = models.ForeignKey(
        Bulk, null=True, on_delete=models.PROTECT, related_name="operations", verbose_name=_("bulk request")
    )
    #: Its place in the list that was asked for, from 1: the order of the queue.
    bulk_position = models.PositiveIntegerField(null=True)
    was_queued = models.BooleanField(default=False)
    left_queue_at = models.DateTimeField(_("left the queue"), null=True)

    requested_force = models.BooleanField(_("requested force"), null=True)
    requested_delay = models.PositiveIntegerField(_("requested delay"), null=True)
    force = models.BooleanField(_("force"), null=True)
    delay = models.PositiveIntegerField(_("graceful delay"), null=True, help_text=_("Seconds."))
    force_origin = models.CharField(max_length=16, choices=labels.origin_choices, blank=True)
    delay_origin = models.CharField(max_length=16, choices=labels.origin_choices, blank=True)
    plan = models.JSONField(_("plan"), default=dict)
    inside = models.BooleanField(_("restart inside the guest"), default=False)
    options = models.JSONField(_("how it starts the VM"), default=dict)

    run_token = models.CharField(max_length=64, blank=True)
    cancel_requested = models.BooleanField(default=False)
    brought_down = models.CharField(max_length=16, choices=labels.outcome_choices, blank=True)
    superseded_by = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="supersedes")

    created_at = models.DateTimeField(_("accepted"), default=timezone.now, db_index=True)
    asked_at = models.DateTimeField(_("guest first asked"), null=True)
    deadline_at = models.DateTimeField(_("end of the graceful delay"), null=True)
    #: Counted anew when it leaves the queue, and when its guest is first asked.
    hard_deadline_at = models.DateTimeField(_("hard deadline"))
    went_down_at = models.DateTimeField(_("went down"), null=True)
    started_at = models.DateTimeField(_("started"), null=True)
    returned_at = models.DateTimeField(_("known to be back"), null=True)
    proof = models.CharField(_("proof of return"), max_length=16, choices=labels.proof_choices, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    looked_at = models.DateTimeField(null=True)
    wake_at = models.DateTimeField(null=True)
    #: Counts every change, so that a decision made on an older reading is never carried out.
    version = models.PositiveIntegerField(default=0)

    #: The steps, oldest first, where vms.engine.journal read the operation.
    journal: list[OperationStep]

    objects = OperationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = _("operation")
        verbose_name_plural = _("operations")
        constraints = [
            # The rule that two simultaneous requests meet: one of them is accepted.
            models.UniqueConstraint(fields=["vm"], condition=~Q(stage=_ENDED), name="operation_one_active_per_vm"),
            models.CheckConstraint(
                condition=(Q(stage=_ENDED) & ~Q(outcome="") & Q(ended_at__isnull=False))
                | (~Q(stage=_ENDED) & Q(outcome="") & Q(ended_at__isnull=True)),
                name="operation_ended_has_outcome",
            ),
            models.CheckConstraint(
                condition=~Q(action__in=[Action.SHUT_DOWN.value, Action.REBOOT.value])
                | Q(force__isnull=False, delay__isnull=False),
                name="operation_graceful_has_policy",
            ),
            models.CheckConstraint(
                condition=~Q(stage=_QUEUED) | Q(bulk__isnull=False, was_queued=True, left_queue_at__isnull=True),
                name="operation_queues_in_its_bulk",
            ),
            models.UniqueConstraint(fields=["bulk", "bulk_position"], name="operation_one_per_place_in_bulk"),
        ]
        indexes = [
            # What the sweep asks every second.
            models.Index(fields=["wake_at"], condition=~Q(stage=_ENDED), name="operation_due"),
            models.Index(F("vm"), F("created_at").desc(), name="operation_newest_of_vm"),
            # Which bulks have a queue, and who is next in it.
            models.Index(fields=["bulk", "bulk_position"], condition=Q(stage=_QUEUED), name="operation_queue"),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.vm_id}"

    def get_absolute_url(self) -> str:
        """Return the address of the operation's page."""
        return reverse("operation_detail", args=[self.pk])

    @property
    def active(self) -> bool:
        """True until it has ended."""
        return self.stage != op.Stage.ENDED

    @property
    def queued(self) -> bool:
        """True while it waits for others of its bulk to end."""
        return self.stage == op.Stage.QUEUED

    @property
    def never_began(self) -> bool:
        """True when it queues, or ended while it did: nothing was asked of its VM."""
        return self.was_queued and self.left_queue_at is None

    @property
    def began_at(self) -> datetime:
        """When it could begin: accepted, or later, when it left the queue."""
        return self.left_queue_at or self.created_at

    @property
    def succeeded(self) -> bool:
        """True when what was asked for became true."""
        return self.outcome in op.SUCCESSES

    @property
    def patient(self) -> bool:
        """True while the guest is given time: Force now, Extend and Cancel make sense."""
        return self.stage in op.PATIENT_STAGES and self.delay is not None and not self.cancel_requested

    @property
    def run_options(self) -> RunOptions:
        """How it starts its VM."""
        return RunOptions.of(self.options)

    @property
    def seconds_to_go_down(self) -> float | None:
        """Seconds until it was down: from when its guest was first asked, or from its beginning where it was not."""
        return _seconds(self.asked_at or self.began_at, self.went_down_at)

    @property
    def seconds_down(self) -> float | None:
        """Seconds from down to started again."""
        return _seconds(self.went_down_at, self.started_at)

    @property
    def seconds_to_return(self) -> float | None:
        """Seconds from its start to the proof that it is back."""
        return _seconds(self.started_at, self.returned_at)

    @property
    def seconds_in_all(self) -> float | None:
        """Seconds from the request to the end."""
        return _seconds(self.created_at, self.ended_at)

    @property
    def known_by(self) -> Proof | None:
        """How the VM is known to be back; None where it is not, or was not to be."""
        return Proof(self.proof) if self.proof else None

    @property
    def policy(self) -> policy.Policy | None:
        """The policy in force, for actions that ask the guest."""
        if self.force is None or self.delay is None:
            return None
        return policy.Policy(
            force=self.force,
            delay=self.delay,
            force_origin=policy.Origin(self.force_origin),
            delay_origin=policy.Origin(self.delay_origin),
        )


class BulkRefusal(models.Model):
    """A VM of a bulk that its action was not accepted for, and why."""

    bulk = models.ForeignKey(Bulk, on_delete=models.CASCADE, related_name="refusals")
    vm = models.ForeignKey(
        VirtualMachine, on_delete=models.CASCADE, related_name="+", verbose_name=_("virtual machine")
    )
    position = models.PositiveIntegerField()
    reason = models.TextField(_("reason"))
    in_the_way = models.ForeignKey(Operation, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["bulk", "vm"], name="bulk_refuses_vm_once")]

    def __str__(self) -> str:
        return self.reason


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start is not None and end is not None else None


class OperationScreen(models.Model):
    """The guest's screen just before it was powered off: what was it stuck on?

    A table of its own: pictures are large, are read one at a time, and may be cleared away before their operations.
    """

    operation = models.OneToOneField(Operation, on_delete=models.CASCADE, primary_key=True, related_name="screen")
    taken_at = models.DateTimeField(_("taken"), db_index=True)
    width = models.PositiveIntegerField(_("width"), help_text=_("Pixels."))
    height = models.PositiveIntegerField(_("height"), help_text=_("Pixels."))
    size = models.PositiveIntegerField(_("size"), help_text=_("Bytes."))
    png = models.BinaryField(_("picture"))

    class Meta:
        verbose_name = _("screen before a power-off")
        verbose_name_plural = _("screens before power-offs")
        constraints = [models.CheckConstraint(condition=Q(size__lte=SCREEN_LIMIT), name="screen_size_limit")]

    def __str__(self) -> str:
        return f"{self.width}×{self.height}"


class OperationStep(models.Model):
    """One line of an operation's journal: a call to the hypervisor, something seen, or something a person did."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="steps")
    number = models.PositiveIntegerField(_("number"))
    kind = models.CharField(_("step"), max_length=16, choices=labels.step_choices)
    at = models.DateTimeField(_("time"))
    answered_at = models.DateTimeField(_("answered"), null=True)
    ok = models.BooleanField(_("ok"), default=False)
    detail = models.TextField(_("detail"), blank=True)
    actor_name = models.CharField(_("by"), max_length=150, blank=True)

    class Meta:
        ordering = ["number"]
        verbose_name = _("operation step")
        verbose_name_plural = _("operation steps")
        constraints = [models.UniqueConstraint(fields=["operation", "number"], name="step_numbered_once")]

    def __str__(self) -> str:
        return f"{self.number}. {self.get_kind_display()}"


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


class Event(models.Model):
    """Something that happened, in words, for good: rows are added and never changed."""

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
            self._refuse()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: history is not rewritten."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise TypeError("events are history: they are added, never changed or deleted")

"""Operations: durable power actions, their journals, and the screens that were kept of guests powered off."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from vms import labels
from vms.domain import operation as op
from vms.domain import policy
from vms.domain.observation import Proof
from vms.domain.power import Action
from vms.domain.run_options import RunOptions
from vms.models.bulks import Bulk
from vms.models.machines import VirtualMachine

_ENDED = op.Stage.ENDED.value
_QUEUED = op.Stage.QUEUED.value
#: No picture of a screen is kept that is larger, in bytes.
SCREEN_LIMIT = 4 * 1024 * 1024


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
        # Not by their stages: the index of those few that have not ended is found by this condition.
        return self.filter(ended_at__isnull=True).exclude(stage=_QUEUED)


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
    disks = models.JSONField(_("disks to be removed"), default=list)
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
            # What runs, and what has just ended.
            models.Index(fields=["ended_at"], name="operation_ended_at"),
            # Which bulks have a queue, and who is next in it.
            models.Index(fields=["bulk", "bulk_position"], condition=Q(stage=_QUEUED), name="operation_queue"),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.vm_id}"

    def get_absolute_url(self) -> str:
        """Return the address of the operation's page."""
        return reverse("operation_detail", args=[self.pk])

    # Django would make these by itself, with all the words anew each time: a third of a millisecond.

    def get_action_display(self) -> str:  # type: ignore[no-redef]
        """Return what it does, in words."""
        return str(labels.ACTION[Action(self.action)])

    def get_stage_display(self) -> str:  # type: ignore[no-redef]
        """Return how far it is, in words."""
        return str(labels.STAGE[op.Stage(self.stage)])

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


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start is not None and end is not None else None


class OperationStep(models.Model):
    """One line of an operation's journal: a call to the hypervisor, something seen, or something a person did."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="steps")
    number = models.PositiveIntegerField(_("number"))
    kind = models.CharField(_("step"), max_length=16, choices=labels.step_choices)
    at = models.DateTimeField(_("time"))
    answered_at = models.DateTimeField(_("answered"), null=True)
    ok = models.BooleanField(_("ok"), default=False)
    detail = models.TextField(_("detail"), blank=True)
    target = models.TextField(_("disk"), blank=True)
    actor_name = models.CharField(_("by"), max_length=150, blank=True)

    class Meta:
        ordering = ["number"]
        verbose_name = _("operation step")
        verbose_name_plural = _("operation steps")
        constraints = [models.UniqueConstraint(fields=["operation", "number"], name="step_numbered_once")]

    def __str__(self) -> str:
        return f"{self.number}. {self.get_kind_display()}"


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

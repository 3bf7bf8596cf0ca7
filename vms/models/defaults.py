"""What holds in the whole portal until somebody changes it."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from vms.domain import bulk, policy, retention


class PortalDefaults(models.Model):
    """The policy of VMs that have not set their own, the cap of bulks, and how long history is kept. One row."""

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
    keep_events = models.PositiveIntegerField(
        _("keep events"),
        default=retention.FACTORY_DAYS,
        validators=[MaxValueValidator(retention.MAX_DAYS)],
        help_text=_("Days, 0 for ever."),
    )
    keep_operations = models.PositiveIntegerField(
        _("keep operations"),
        default=retention.FACTORY_DAYS,
        validators=[MaxValueValidator(retention.MAX_DAYS)],
        help_text=_("Days, 0 for ever."),
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
            models.CheckConstraint(
                condition=Q(keep_events__lte=retention.MAX_DAYS, keep_operations__lte=retention.MAX_DAYS),
                name="portal_defaults_keep_range",
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

    @property
    def keeps(self) -> retention.Keep:
        """How long history is kept."""
        return retention.Keep(events=self.keep_events, operations=self.keep_operations)

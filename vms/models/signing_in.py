"""What people log in with besides their password, and how often somebody has tried in vain."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class SecondFactor(models.Model):
    """The secret that a person's authenticator app shares with the portal. Who has one logs in with a code, too."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="second_factor",
        verbose_name=_("person"),
    )
    secret = models.CharField(_("secret"), max_length=64)
    #: The interval of the last code that was taken: no code is good twice.
    used_interval = models.PositiveBigIntegerField(_("last code"))
    since = models.DateTimeField(_("since"), default=timezone.now)

    class Meta:
        default_permissions = ("view", "delete")
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")

    def __str__(self) -> str:
        return str(self.user)


class RecoveryCode(models.Model):
    """One code that stands in for the app, once. Only its digest is kept."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes", verbose_name=_("person")
    )
    digest = models.CharField(max_length=64)

    class Meta:
        default_permissions = ()
        verbose_name = _("recovery code")
        verbose_name_plural = _("recovery codes")
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="recovery_code_once")]

    def __str__(self) -> str:
        return str(self.user)


class Attempts(models.Model):
    """How often a password or a code was tried since it last was right.

    Attributes:
        key: A digest of what is guessed and from where: people type passwords where their name belongs.
    """

    key = models.CharField(primary_key=True, max_length=64)
    count = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        default_permissions = ()
        verbose_name = _("attempts to log in")
        verbose_name_plural = _("attempts to log in")

    def __str__(self) -> str:
        return str(self.count)

"""What programs show instead of a password, and what stands for one that has logged in."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from vms.domain import api_tokens


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Tokens of the API."""

    def lasting(self) -> ApiTokenQuerySet:
        """Return those whose time is not over."""
        return self.filter(good_until__gt=timezone.now())

    def of(self, person: User) -> ApiTokenQuerySet:
        """Return somebody's, without those that ended with an earlier password."""
        return self.filter(person=person, bound_to=api_tokens.binding(person.password))


class ApiToken(models.Model):
    """A token of the API. Only a digest of its secret is kept.

    Attributes:
        bound_to: The password that it ends with (`vms.domain.api_tokens.binding`).
        begun_with: The token that a session was begun with, and with which it ends.
        last_used_at: To a minute.
        good_until: When it ends, unless it is used before.
        expires_at: When it ends in any case.
        address: Where it was used from last.
        wants_header: A cookie alone is not enough: the client has asked for oVirt's protection against forged requests.
    """

    class Kind(models.TextChoices):
        """How it came to be."""

        TOKEN = "token", _("Token")
        SESSION = "session", _("Session")

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens", verbose_name=_("person")
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    name = models.CharField(_("name"), max_length=100, blank=True)
    digest = models.CharField(max_length=64, unique=True)
    bound_to = models.CharField(max_length=64)
    begun_with = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="sessions")
    made_at = models.DateTimeField(_("made"), default=timezone.now)
    last_used_at = models.DateTimeField(_("last used"), null=True)
    good_until = models.DateTimeField(_("good until"), db_index=True)
    expires_at = models.DateTimeField(_("expires"))
    address = models.CharField(_("address"), max_length=45, blank=True)
    wants_header = models.BooleanField(default=False)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return self.name or self.get_kind_display()

    @property
    def holds(self) -> bool:
        """True while its person may log in, and has the password that it is bound to."""
        bound = constant_time_compare(self.bound_to, api_tokens.binding(self.person.password))
        return self.person.is_active and bound

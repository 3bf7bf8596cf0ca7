"""What each person prefers."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from vms import labels
from vms.domain.preferences import Hint, Theme


class Preference(models.Model):
    """One person's wishes for the pages. Read together with the person, so that looking them up asks for nothing."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="preference",
        verbose_name=_("person"),
    )
    shortcuts = models.BooleanField(
        _("keyboard shortcuts"), default=True, help_text=_("Single keys act on the list of virtual machines.")
    )
    hints_dismissed = models.JSONField(_("hints dismissed"), default=list, blank=True)
    language = models.CharField(
        _("language"), max_length=10, blank=True, help_text=_("Empty: what the browser asks for.")
    )
    theme = models.CharField(
        _("theme"),
        max_length=6,
        blank=True,
        choices=labels.theme_choices,
        help_text=_("Empty: what was chosen in the browser."),
    )

    class Meta:
        default_permissions = ("view",)
        verbose_name = _("preferences")
        verbose_name_plural = _("preferences")
        constraints = [
            models.CheckConstraint(condition=Q(theme__in=["", *(str(theme) for theme in Theme)]), name="known_theme")
        ]

    def __str__(self) -> str:
        return str(self.user)

    @classmethod
    def of(cls, user: User | AnonymousUser) -> Preference:
        """Return what somebody prefers; where nothing was kept, what everybody begins with, which is not stored."""
        try:
            kept: Preference = user.preference  # type: ignore[union-attr]  # the other side's name of `user`
        except (AttributeError, ObjectDoesNotExist):
            return cls()
        return kept

    def shows(self, hint: Hint) -> bool:
        """Say whether a page's hint is still to be shown."""
        return hint not in self.hints_dismissed

"""The tags that people put on VMs."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


class Tag(models.Model):
    """A word that people put on VMs, to find them by and to be told of them by mail."""

    name = models.CharField(_("name"), max_length=50)
    reason_required = models.BooleanField(
        _("reason required"),
        default=False,
        help_text=_("Nobody has a power action done to a VM that bears the tag without saying why."),
    )

    class Meta:
        ordering = [Lower("name")]
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        constraints = [models.UniqueConstraint(Lower("name"), name="tag_once")]

    def __str__(self) -> str:
        return self.name

"""Who may do what where: roles are sets of verbs, and an assignment gives one to a person or group at a place."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from vms.models.hosts import Host
from vms.models.machines import VirtualMachine
from vms.models.tags import Tag


class Role(models.Model):
    """A named set of verbs, each one of the portal's permissions."""

    name = models.CharField(_("name"), max_length=50)
    description = models.CharField(_("description"), max_length=200, blank=True)
    verbs = models.ManyToManyField(
        Permission, related_name="+", limit_choices_to={"content_type__app_label": "vms"}, verbose_name=_("may")
    )

    class Meta:
        ordering = [Lower("name")]
        verbose_name = _("role")
        verbose_name_plural = _("roles")
        constraints = [models.UniqueConstraint(Lower("name"), name="role_once")]

    def __str__(self) -> str:
        return self.name


class Assignment(models.Model):
    """One role for one person or one group: on the whole portal, or on a host's VMs, a tag's VMs, or one VM."""

    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="assignments", verbose_name=_("role"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="assignments",
        verbose_name=_("person"),
    )
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.CASCADE, related_name="assignments", verbose_name=_("group")
    )
    host = models.ForeignKey(
        Host, null=True, blank=True, on_delete=models.CASCADE, related_name="assignments", verbose_name=_("host")
    )
    tag = models.ForeignKey(
        Tag, null=True, blank=True, on_delete=models.CASCADE, related_name="assignments", verbose_name=_("tag")
    )
    vm = models.ForeignKey(
        VirtualMachine,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="assignments",
        verbose_name=_("virtual machine"),
    )

    class Meta:
        ordering = ["role", "pk"]
        verbose_name = _("role assignment")
        verbose_name_plural = _("role assignments")
        constraints = [
            models.CheckConstraint(
                name="assignment_to_one",
                condition=Q(user__isnull=False, group__isnull=True) | Q(user__isnull=True, group__isnull=False),
                violation_error_message=_("Choose a person or a group, not both."),
            ),
            models.CheckConstraint(
                name="assignment_at_one_place",
                condition=Q(host__isnull=True, tag__isnull=True)
                | Q(host__isnull=True, vm__isnull=True)
                | Q(tag__isnull=True, vm__isnull=True),
                violation_error_message=_("Choose one place: a host, a tag or a virtual machine; none is all of them."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.user or self.group}, {self.vm or self.tag or self.host or _('the whole portal')}"

"""VMs and their tags in Django admin: policy and tags are edited, power actions asked for, here too."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from vms import actions, labels, permissions
from vms.admin.common import ReadOnly
from vms.domain.errors import PolicyError
from vms.domain.policy import Option, Setting, check_vm_setting
from vms.domain.power import Action
from vms.domain.tags import TagError
from vms.fields import TagsField
from vms.models import (
    Addition,
    ConfigurationChange,
    Tag,
    VirtualMachine,
)

#: The model's names of what the domain calls the parts of a policy.
_FIELD = {"force": "force_power_off", "graceful_delay": "graceful_delay"}


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A VM's own policy, refused in the same words as everywhere."""

    class Meta:
        model = VirtualMachine
        fields = ("force_power_off", "graceful_delay", *Option)

    tags = TagsField()
    #: Who fills it in.
    actor: User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Build it with the VM's tags."""
        super().__init__(*args, **kwargs)
        if self.instance.pk and self.instance.host_id:
            # In the place of the tags themselves, which Django reads for every field of many.
            self.initial["tags"] = list(self.instance.tags.values_list("name", flat=True))

    def clean_tags(self) -> tuple[str, ...]:
        """Refuse tags that this person may not put on."""
        try:
            return actions.check_tags(self.actor, self.instance, self.cleaned_data["tags"])
        except TagError as error:
            raise ValidationError(str(labels.TAG_ERROR[error.code])) from None

    def clean(self) -> dict[str, Any]:
        """Refuse a policy that could not be carried out."""
        cleaned: dict[str, Any] = super().clean() or {}
        try:
            check_vm_setting(Setting(cleaned.get("force_power_off"), cleaned.get("graceful_delay")))
        except PolicyError as error:
            raise ValidationError({_FIELD[error.field]: str(labels.POLICY_ERROR[error.code])}) from None
        return cleaned


@admin.register(VirtualMachine)
class VirtualMachineAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """VMs come and go with their hosts; their policy is edited, and power actions are asked for, here too."""

    form = PolicyForm
    readonly_fields = (
        "name",
        "host",
        "uuid",
        "status",
        "description",
        "memory",
        "vcpus",
        "pending_count",
        "run_once",
        "run_stateless",
        "running_since",
        "observed_at",
    )
    fields = (*readonly_fields, "tags", "force_power_off", "graceful_delay", *Option)
    list_display = ("name", "host", "status", "pending_count", "force_power_off", "graceful_delay", "agent_connected")
    list_filter = ("status", "host", "tags", "force_power_off", *Option)
    list_select_related = ("host",)
    search_fields = ("name", "uuid", "description")
    actions = tuple(f"ask_{action}" for action in Action)

    def has_view_permission(self, request: HttpRequest, obj: VirtualMachine | None = None) -> bool:
        """Who may see a VM anywhere may see it here."""
        return permissions.may_view(request.user, obj)

    def has_change_permission(self, request: HttpRequest, obj: VirtualMachine | None = None) -> bool:
        """Who may edit a VM anywhere may edit it here."""
        if obj is None:
            return permissions.somewhere(request.user, permissions.CHANGE)
        return permissions.may_change(request.user, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[VirtualMachine]:
        """Return the VMs that this person may see."""
        return super().get_queryset(request).filter(permissions.where(request.user, permissions.VIEW))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: the watcher finds VMs."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: VirtualMachine | None = None) -> bool:
        """Nobody: the history of a VM outlives it."""
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may see a VM."""
        return permissions.may_view(request.user)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Build the form of this person."""
        return type("PolicyForm", (super().get_form(request, obj, change, **kwargs),), {"actor": request.user})

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer the power actions that this person may ask for."""
        return {
            f"ask_{action}": (_asker(action), f"ask_{action}", labels.ACTION[action])
            for action in Action
            if permissions.may_ask(request.user, action)
        }

    def save_model(self, request: HttpRequest, obj: VirtualMachine, form: Any, change: bool) -> None:
        """Have the action set what was changed of policy and tags; nothing else of a VM is changed here."""
        setting = actions.SettingChange()
        if "force_power_off" in form.changed_data:
            setting["force"] = obj.force_power_off
        if "graceful_delay" in form.changed_data:
            setting["delay"] = obj.graceful_delay
        options = {option: getattr(obj, option) for option in Option if option in form.changed_data}
        tags = form.cleaned_data["tags"] if "tags" in form.changed_data else None
        actions.edit(request.user, obj, setting=setting, options=options, tags=tags)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Do nothing: the tags are set with their event."""


def _asker(action: Action) -> Any:
    """Return the admin action that leads to the confirmation of a power action on the chosen VMs."""

    def ask(modeladmin: VirtualMachineAdmin, request: HttpRequest, queryset: QuerySet[VirtualMachine]) -> HttpResponse:
        ids = queryset.values_list("pk", flat=True)
        if action is Action.RUN_ONCE and len(ids) != 1:
            modeladmin.message_user(request, _("Run once is for one virtual machine at a time."), messages.WARNING)
            return HttpResponseRedirect(request.get_full_path())
        chosen = urlencode([("vm", pk) for pk in ids])
        return HttpResponseRedirect(f"{reverse('vm_action', args=[action])}?{chosen}")

    return ask


@admin.register(ConfigurationChange)
class ConfigurationChangeAdmin(ReadOnly):
    """What people changed of configurations, and what became of it."""

    list_display = ("created_at", "vm", "asked_for", "actor_name", "state", "error")
    list_filter = ("state",)
    list_select_related = ("vm",)
    search_fields = ("vm__name", "actor_name", "correlation_id", "error")
    date_hierarchy = "created_at"

    @admin.display(description=_("change"))
    def asked_for(self, change: ConfigurationChange) -> str:
        """Return it in words."""
        return labels.changed_parts(change.values, change.reverts)


@admin.register(Addition)
class AdditionAdmin(ReadOnly):
    """The VMs that people added, and what became of it."""

    list_display = ("created_at", "vm", "actor_name", "state", "error")
    list_filter = ("state",)
    list_select_related = ("vm",)
    search_fields = ("vm__name", "actor_name", "correlation_id", "error")
    date_hierarchy = "created_at"


@admin.register(Tag)
class TagAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Tags can be renamed and removed, and want a reason for actions; they are put on VMs where VMs are edited."""

    list_display = ("name", "reason_required", "vm_count")
    list_filter = ("reason_required",)
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        """Count the VMs in the same query."""
        tags: QuerySet[Tag] = super().get_queryset(request)
        return tags.annotate(vm_count=Count("vms"))

    @admin.display(description=_("VMs"), ordering="vm_count")
    def vm_count(self, tag: Any) -> int:
        """Return how many VMs bear the tag."""
        return int(tag.vm_count)

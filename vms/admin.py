"""Django admin: the same models with the same rules.

History is read-only. What may be changed is changed through `vms.actions`, and a power action leads to the very
confirmation that the pages show: what it will do, the reason, the one-time override, and nobody's rule but the one.
"""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from vms import actions, labels, permissions
from vms.domain.errors import PolicyError
from vms.domain.policy import Option, Setting, check_vm_setting
from vms.domain.power import Action
from vms.domain.tags import TagError
from vms.fields import TagsField
from vms.models import (
    Assignment,
    Bulk,
    BulkRefusal,
    ConfigurationChange,
    Event,
    Host,
    Mail,
    Operation,
    OperationStep,
    PortalDefaults,
    Preference,
    Role,
    SecondFactor,
    Subscription,
    Tag,
    VirtualMachine,
)


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that people may look at, and nobody may write by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


class OfVms(ReadOnly):
    """Rows that belong to VMs: somebody sees here what they see on the pages."""

    #: What seeing them needs.
    seen_by: str

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever has the permission on some VM; on which is left to the query."""
        return permissions.somewhere(request.user, self.seen_by)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Likewise."""
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows of VMs that this person may see them of."""
        return super().get_queryset(request).filter(permissions.where(request.user, self.seen_by, "vm__"))


@admin.register(Host)
class HostAdmin(ReadOnly):
    """Hosts are looked at here. Adding, changing and removing one leads to the pages, which test connections first."""

    list_display = ("name", "uri", "state", "vm_count", "version", "connected_at", "removed_at")
    list_filter = ("state",)
    search_fields = ("name", "uri", "hostname")
    readonly_fields = ("state", "error", "hostname", "version", "connected_at", "watched_until", "removed_at")
    actions = ("edit_on_its_page", "remove_on_its_page")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who may add hosts anywhere finds the way from here too."""
        return request.user.has_perm(permissions.ADD_HOST)

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Lead to the page that tests the connection first."""
        return HttpResponseRedirect(reverse("host_add"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Host]:
        """Count the VMs in the same query."""
        hosts: QuerySet[Host] = super().get_queryset(request)
        return hosts.annotate(vm_count=Count("vms"))

    @admin.display(description=_("VMs"), ordering="vm_count")
    def vm_count(self, host: Any) -> int:
        """Return how many VMs the host has, those that are gone included."""
        return int(host.vm_count)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer what this person may do to hosts."""
        offered = super().get_actions(request)
        if not request.user.has_perm(permissions.CHANGE_HOST):
            offered.pop("edit_on_its_page", None)
        if not request.user.has_perm(permissions.REMOVE_HOST):
            offered.pop("remove_on_its_page", None)
        return offered

    @admin.action(description=_("Edit"))
    def edit_on_its_page(self, request: HttpRequest, queryset: QuerySet[Host]) -> HttpResponse:
        """Lead to the form of the first host that was chosen."""
        return HttpResponseRedirect(reverse("host_edit", args=[queryset[0].pk]))

    @admin.action(description=_("Remove"))
    def remove_on_its_page(self, request: HttpRequest, queryset: QuerySet[Host]) -> HttpResponse:
        """Lead to the confirmation for the first host that was chosen."""
        return HttpResponseRedirect(reverse("host_remove", args=[queryset[0].pk]))


@admin.register(PortalDefaults)
class PortalDefaultsAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The one row of defaults, changed with an event like everything else."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only where nobody has changed the defaults yet."""
        may_change = request.user.has_perm("vms.change_portaldefaults")
        return may_change and not PortalDefaults.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: without the row the factory settings would come back unsaid."""
        return False

    def save_model(self, request: HttpRequest, obj: PortalDefaults, form: Any, change: bool) -> None:
        """Have the action change them."""
        with transaction.atomic():
            actions.set_defaults(
                request.user, force=obj.force, delay=obj.graceful_delay, bulk_in_flight=obj.bulk_in_flight
            )
            actions.set_retention(request.user, obj.keeps)
        obj.id = 1


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


class StepInline(admin.TabularInline):  # type: ignore[type-arg]
    """An operation's journal: whoever sees the operation sees it."""

    model = OperationStep
    fields = ("number", "kind", "target", "at", "answered_at", "ok", "detail", "actor_name")
    readonly_fields = fields
    can_delete = False
    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever came so far."""
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


@admin.register(Operation)
class OperationAdmin(OfVms):
    """Operations, each with its journal."""

    seen_by = permissions.VIEW_OPERATIONS
    list_display = ("created_at", "vm", "action", "stage", "outcome", "actor_name", "reason")
    list_filter = ("action", "stage", "outcome")
    list_select_related = ("vm",)
    search_fields = ("vm__name", "actor_name", "correlation_id", "reason")
    date_hierarchy = "created_at"
    inlines = (StepInline,)


class RefusalInline(admin.TabularInline):  # type: ignore[type-arg]
    """The VMs that a bulk leaves alone."""

    model = BulkRefusal
    fields = ("position", "vm", "reason")
    readonly_fields = fields
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


@admin.register(Bulk)
class BulkAdmin(ReadOnly):
    """Requests for several VMs at once."""

    list_display = ("created_at", "action", "asked_for", "cap", "actor_name", "reason")
    list_filter = ("action",)
    search_fields = ("actor_name", "correlation_id", "reason")
    date_hierarchy = "created_at"
    inlines = (RefusalInline,)


@admin.register(OperationStep)
class OperationStepAdmin(ReadOnly):
    """Every step of every operation, to search through."""

    list_display = ("at", "operation", "number", "kind", "ok", "detail")
    list_filter = ("kind", "ok")
    list_select_related = ("operation",)
    search_fields = ("operation__vm__name", "operation__correlation_id", "detail")


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


@admin.register(Event)
class EventAdmin(OfVms):
    """History."""

    seen_by = permissions.VIEW_EVENTS
    list_display = ("at", "severity", "code", "message", "vm", "actor_name")
    list_filter = ("severity", "code")
    list_select_related = ("vm",)
    search_fields = ("message", "correlation_id", "actor_name")
    date_hierarchy = "at"


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


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnly):
    """Who is mailed about what. Each person chooses that on the own Account page."""

    list_display = ("user", "outcome", "tag")
    list_filter = ("outcome", "tag")
    list_select_related = ("user", "tag")
    search_fields = ("user__username",)


@admin.register(Preference)
class PreferenceAdmin(ReadOnly):
    """What people prefer. Each person sets that on the own Account page."""

    list_display = ("user", "shortcuts", "language", "theme")
    list_select_related = ("user",)
    search_fields = ("user__username",)


@admin.register(SecondFactor)
class SecondFactorAdmin(ReadOnly):
    """Who logs in with codes. Deleting one helps a person who has lost app and recovery codes."""

    list_display = ("user", "since")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    fields = ("user", "since")

    def has_delete_permission(self, request: HttpRequest, obj: SecondFactor | None = None) -> bool:
        """Who may help."""
        if obj is None:
            return request.user.has_perm(permissions.REMOVE_SECOND_FACTOR)
        return permissions.may_remove_second_factor(request.user, obj.user)

    def delete_model(self, request: HttpRequest, obj: SecondFactor) -> None:
        """Switch it off, recovery codes included, with an event."""
        actions.disable_second_factor(obj.user, by=cast("User", request.user))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[SecondFactor]) -> None:
        """Do so for several people."""
        for factor in queryset.select_related("user"):
            self.delete_model(request, factor)


@admin.register(Mail)
class MailAdmin(ReadOnly):
    """Mails that wait, were sent, or were not."""

    list_display = ("created_at", "user", "operation", "state", "attempts", "sent_at", "error")
    list_filter = ("state",)
    list_select_related = ("user", "operation")
    search_fields = ("user__username", "operation__vm__name", "error")
    date_hierarchy = "created_at"


@admin.register(Role)
class RoleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Roles: sets of verbs that may be given on the portal, a host, a tag or a VM."""

    list_display = ("name", "description")
    search_fields = ("name",)
    filter_horizontal = ("verbs",)


@admin.register(Assignment)
class AssignmentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who has which role where. An assignment is given and taken back, never changed."""

    list_display = ("role", "user", "group", "host", "tag", "vm")
    list_filter = ("role", "host", "tag")
    list_select_related = ("role", "user", "group", "host", "tag", "vm")
    search_fields = ("user__username", "group__name", "vm__name", "tag__name", "host__name")
    autocomplete_fields = ("vm",)

    def has_change_permission(self, request: HttpRequest, obj: Assignment | None = None) -> bool:
        """Nobody: giving another one tells more."""
        return False

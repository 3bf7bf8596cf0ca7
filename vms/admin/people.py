"""What concerns people, in Django admin: roles, notices, preferences, second factors."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from vms import actions, permissions
from vms.admin.common import ReadOnly
from vms.models import (
    Assignment,
    Mail,
    Preference,
    Role,
    SecondFactor,
    Subscription,
)


@admin.register(Role)
class RoleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Roles: sets of verbs that may be given on the portal, a host, a tag or a VM."""

    list_display = ("name", "description")
    search_fields = ("name",)
    filter_horizontal = ("verbs",)


class AssignmentForm(forms.ModelForm):  # type: ignore[type-arg]
    """A role for somebody, at one place."""

    class Meta:
        model = Assignment
        fields = ("role", "user", "group", "host", "tag", "vm")

    #: Who fills it in.
    actor: User

    def clean_role(self) -> Role:
        """Refuse a role that this person may not give."""
        role: Role = self.cleaned_data["role"]
        try:
            actions.check_assignment(self.actor, role)
        except actions.Refused as refused:
            raise ValidationError(str(refused)) from None
        return role


@admin.register(Assignment)
class AssignmentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who has which role where. An assignment is given and taken back, with an event, and never changed."""

    form = AssignmentForm
    list_display = ("role", "user", "group", "host", "tag", "vm")
    list_filter = ("role", "host", "tag")
    list_select_related = ("role", "user", "group", "host", "tag", "vm")
    search_fields = ("user__username", "group__name", "vm__name", "tag__name", "host__name")
    autocomplete_fields = ("vm",)

    def has_change_permission(self, request: HttpRequest, obj: Assignment | None = None) -> bool:
        """Nobody: giving another one tells more."""
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Build the form of this person."""
        return type("AssignmentForm", (super().get_form(request, obj, change, **kwargs),), {"actor": request.user})

    def save_model(self, request: HttpRequest, obj: Assignment, form: Any, change: bool) -> None:
        """Have the action give it."""
        actions.assign(request.user, obj)

    def delete_model(self, request: HttpRequest, obj: Assignment) -> None:
        """Have the action take it back."""
        actions.unassign(request.user, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Assignment]) -> None:
        """Take several back."""
        for assignment in queryset:
            self.delete_model(request, assignment)


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnly):
    """Who is mailed about what. Each person chooses that on the own Account page."""

    list_display = ("user", "outcome", "tag")
    list_filter = ("outcome", "tag")
    list_select_related = ("user", "tag")
    search_fields = ("user__username",)


@admin.register(Mail)
class MailAdmin(ReadOnly):
    """Mails that wait, were sent, or were not."""

    list_display = ("created_at", "user", "operation", "state", "attempts", "sent_at", "error")
    list_filter = ("state",)
    list_select_related = ("user", "operation")
    search_fields = ("user__username", "operation__vm__name", "error")
    date_hierarchy = "created_at"


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

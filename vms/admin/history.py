"""What was done and what happened, in Django admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from vms import permissions
from vms.admin.common import OfVms, ReadOnly
from vms.models import (
    Bulk,
    BulkRefusal,
    Event,
    Operation,
    OperationStep,
)


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


@admin.register(Event)
class EventAdmin(OfVms):
    """History."""

    seen_by = permissions.VIEW_EVENTS
    list_display = ("at", "severity", "code", "message", "vm", "actor_name")
    list_filter = ("severity", "code")
    list_select_related = ("vm",)
    search_fields = ("message", "correlation_id", "actor_name")
    date_hierarchy = "at"

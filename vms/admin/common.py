"""Rows of Django admin that people may look at, and nobody may write by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from vms import permissions


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

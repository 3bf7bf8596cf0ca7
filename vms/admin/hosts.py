"""Hosts and the portal's defaults in Django admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from vms import actions, permissions
from vms.admin.common import ReadOnly
from vms.models import (
    Host,
    PortalDefaults,
)


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

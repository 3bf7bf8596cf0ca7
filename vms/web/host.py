"""The hosts, as the watcher last saw them. Read-only."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from vms import permissions, queries
from vms.web.access import Request, needs


@require_safe
@needs(permissions.VIEW_HOSTS)
def host_list(request: Request) -> HttpResponse:
    """The page of hosts."""
    return render(request, "hosts/host_list.html", {"hosts": queries.hosts(), "now": timezone.now()})


@require_safe
@needs(permissions.VIEW_HOSTS)
def host_table(request: Request) -> HttpResponse:
    """Their table alone."""
    return render(request, "hosts/fragments/host_table.html", {"hosts": queries.hosts(), "now": timezone.now()})

"""Events: what happened, in words, newest first."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from vms import permissions, queries
from vms.models import Event
from vms.web.access import Request, needs
from vms.web.params import uuid_param


@require_safe
@needs(permissions.VIEW_EVENTS)
def event_list(request: Request) -> HttpResponse:
    """All events, newest first."""
    return render(request, "events/event_list.html", _table(request) | {"severities": Event.Severity.choices})


@require_safe
@needs(permissions.VIEW_EVENTS)
def event_table(request: Request) -> HttpResponse:
    """Their table alone."""
    return render(request, "events/fragments/event_table.html", _table(request))


@require_safe
@needs(permissions.VIEW_EVENTS)
def event_csv(request: Request) -> HttpResponse:
    """All that the filter finds, not a page of it alone, for a spreadsheet."""
    rows = queries.events(request.user, _filter(request).condition()).iterator(chunk_size=2000)
    name = f"events-{timezone.now():%Y-%m-%d-%H%M%S}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    # As a whole: under ASGI, Django would read a generator to its end before it sends anything.
    return HttpResponse("".join(_csv(rows)), content_type="text/csv; charset=utf-8", headers=headers)


@dataclass(frozen=True, slots=True)
class _Filter:
    """What the list is narrowed down to; empty for any."""

    severity: str
    actor: str
    correlation_id: str
    vm_id: UUID | None

    def condition(self) -> Q:
        wanted = {
            "severity": self.severity,
            "actor_name__iexact": self.actor,
            "correlation_id": self.correlation_id,
            "vm_id": self.vm_id,
        }
        return Q(**{name: value for name, value in wanted.items() if value})


def _filter(request: Request) -> _Filter:
    severity = request.GET.get("severity", "")
    return _Filter(
        severity=severity if severity in Event.Severity.values else "",
        actor=request.GET.get("actor", "").strip(),
        correlation_id=request.GET.get("correlation_id", "").strip(),
        vm_id=uuid_param(request, "vm"),
    )


def _table(request: Request) -> dict[str, Any]:
    wanted = _filter(request)
    condition = wanted.condition()
    return {
        "page_obj": queries.event_page(request.user, condition, request.GET.get("page")),
        "filter": wanted,
        "vm": queries.known_vm(request.user, wanted.vm_id) if wanted.vm_id else None,
        "narrowed": bool(condition),
    }


class _Echo:
    """Gives each line that is written to it back to whoever writes it."""

    def write(self, line: str) -> str:
        return line


def _csv(events: Iterator[Event]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    # A byte order mark, without which spreadsheets take UTF-8 for something else.
    yield "\ufeff" + writer.writerow(
        ("time", "severity", "code", "message", "vm", "host", "actor", "operation", "correlation_id")
    )
    for event in events:
        yield writer.writerow(
            _harmless(value)
            for value in (
                event.at.isoformat(),
                event.severity,
                str(event.code),
                event.message,
                event.vm.name if event.vm else "",
                event.host.name if event.host else "",
                event.actor_name,
                str(event.operation_id or ""),
                event.correlation_id,
            )
        )


def _harmless(value: str) -> str:
    """Keep a spreadsheet from taking a text for a formula: names and reasons are whatever somebody has typed."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value

"""Carries out tests of connections: a row each, so that a test outlives whoever was at it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from vms.hypervisor.base import HypervisorError
from vms.hypervisor.probe import probe
from vms.models import HostCheck

#: How long a host may take to connect and answer, in seconds.
LIMIT = 15.0
#: A test that was begun this long ago and has not ended was lost with its process.
_LOST_AFTER = timedelta(seconds=LIMIT + 10)


def claim() -> HostCheck | None:
    """Take the oldest test that waits, or was lost; None when there is none."""
    now = timezone.now()
    waiting = Q(state=HostCheck.State.WAITING) | Q(state=HostCheck.State.RUNNING, started_at__lt=now - _LOST_AFTER)
    for check in HostCheck.objects.filter(waiting).order_by("created_at")[:5]:
        # Another watcher may be as quick.
        mine = HostCheck.objects.filter(waiting, pk=check.pk)
        if mine.update(state=HostCheck.State.RUNNING, started_at=now):
            check.refresh_from_db()
            return check
    return None


def carry_out(check: HostCheck) -> None:
    """Connect, and write down what came of it."""
    result: dict[str, Any]
    try:
        found = probe(check.uri, LIMIT)
    except HypervisorError as error:
        result = {"state": HostCheck.State.FAILED, "error": str(error)}
    else:
        result = {
            "state": HostCheck.State.PASSED,
            "hostname": found.hostname,
            "version": found.version,
            "vm_count": found.vm_count,
        }
    HostCheck.objects.filter(pk=check.pk, started_at=check.started_at).update(ended_at=timezone.now(), **result)

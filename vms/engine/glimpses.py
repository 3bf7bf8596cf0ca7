"""The only writer of glimpses: what a host is asked about one VM while somebody looks at its page.

Pages ask the database, and mark that somebody looks; a thread beside the watcher asks the host. A row is asked for
again and again, so nothing needs to be tried twice, and one that was lost with its process is asked for anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.utils import timezone

from vms.engine import screens
from vms.hypervisor import connections
from vms.hypervisor.base import HostUnreachable, Hypervisor, HypervisorError
from vms.models import Glimpse, Operation, VirtualMachine

Kind = Glimpse.Kind

#: However many look: a host is asked the same no sooner than after this long.
EVERY = {Kind.SCREEN: timedelta(seconds=3), Kind.GUEST: timedelta(seconds=15), Kind.DEFINITION: timedelta(seconds=5)}
#: What nobody has looked at for this long is forgotten: a screen may show what is nobody's business.
KEPT = timedelta(minutes=10)
_EMPTY: dict[str, Any] = {"facts": {}, "text": "", "width": 0, "height": 0, "png": b""}


def ask(vm: VirtualMachine, kind: Glimpse.Kind) -> None:
    """Have a host asked about a VM soon, unless it was asked just now."""
    now = timezone.now()
    mine = Glimpse.objects.filter(vm=vm, kind=kind)
    asked = mine.filter(asked_at__lte=now - EVERY[kind]).update(asked_at=now, waits=True)
    if not asked and not mine.exists():
        # Two who open the page at the same moment ask for one glimpse.
        Glimpse.objects.bulk_create([Glimpse(vm=vm, kind=kind, asked_at=now)], ignore_conflicts=True)


def waiting() -> Iterable[Glimpse]:
    """Return what is asked for, oldest first, with its VM and host; pictures are not read."""
    asked = Glimpse.objects.filter(waits=True, vm__host__removed_at=None).order_by("asked_at")
    return asked.select_related("vm__host").defer("png", "text")[:100]


def take(glimpse: Glimpse) -> None:
    """Ask the host, and write down what it tells, or why it does not."""
    mine = Glimpse.objects.filter(pk=glimpse.pk)
    mine.update(waits=False)
    vm = glimpse.vm
    if glimpse.kind == Kind.GUEST and Operation.objects.filter(vm=vm).in_flight().exists():
        # One question at a time is what an agent can take, and the operation's comes first.
        return
    try:
        told = _told(connections.get(vm.host.uri), str(vm.uuid), Kind(glimpse.kind))
    except HostUnreachable as error:
        # What it told before is still the best there is, and shows its age.
        mine.update(error=str(error))
    except HypervisorError as error:
        mine.update(error=str(error) or type(error).__name__, taken_at=None, **_EMPTY)
    else:
        mine.update(error="", taken_at=timezone.now(), **told)


def _told(hypervisor: Hypervisor, uuid: str, kind: Glimpse.Kind) -> dict[str, Any]:
    match kind:
        case Kind.SCREEN:
            return asdict(screens.checked(hypervisor.screenshot(uuid)))
        case Kind.GUEST:
            return {"facts": asdict(hypervisor.guest(uuid))}
        case Kind.DEFINITION:
            return {"text": hypervisor.definition(uuid)}


def forget() -> int:
    """Forget what nobody looks at any more, and return how much that was."""
    count, _ = Glimpse.objects.filter(asked_at__lt=timezone.now() - KEPT).delete()
    return count

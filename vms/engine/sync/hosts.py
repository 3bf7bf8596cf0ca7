"""Whether a host answers, and what that means for what is known of its VMs."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from vms.domain.power import VmStatus
from vms.engine.changes import HOSTS, VM_LIST, tell
from vms.engine.records import Code, record
from vms.engine.sync.rows import hold
from vms.hypervisor.base import HostInfo
from vms.models import Event, Host, VirtualMachine


def connected(host: Host, info: HostInfo) -> None:
    """Write down that a host answers.

    Args:
        host: As it was read when the connection was made; nothing is written when it has changed its address since.
    """
    with transaction.atomic():
        same = Host.objects.managed().filter(pk=host.pk, uri=host.uri)
        # Of several watchers, the one that changes this tells of it.
        back = same.filter(state=Host.State.UNREACHABLE).update(state=Host.State.CONNECTED)
        same.update(
            state=Host.State.CONNECTED,
            error="",
            hostname=info.hostname,
            version=f"{info.hypervisor} {info.version}",
            connected_at=timezone.now(),
        )
        tell(topics=[HOSTS])
        if back:
            record(Code.HOST_DETECTED, f"{host.name} answers again.", host=host)


def unreachable(host: Host, error: str) -> None:
    """Write down that a host does not answer: nothing is known of its VMs until it does.

    Args:
        host: As it was read when it was asked; nothing is written when it has changed its address since.
    """
    with transaction.atomic():
        same = Host.objects.managed().filter(pk=host.pk, uri=host.uri)
        changed = same.exclude(state=Host.State.UNREACHABLE).update(state=Host.State.UNREACHABLE, error=error)
        if not changed:
            same.update(error=error)
            return
        # One that is being added was never seen, and goes on waiting for the host.
        unseen = hold(VirtualMachine.objects.filter(host=host, being_added=False).exclude(status=VmStatus.GONE))
        VirtualMachine.objects.filter(pk__in=unseen).update(status=VmStatus.NOT_RESPONDING, observed_at=timezone.now())
        tell(*unseen, topics=[HOSTS])
        record(
            Code.HOST_FAILURE,
            f"{host.name} cannot be reached: {error}",
            severity=Event.Severity.ERROR,
            host=host,
        )


def host_removed(host: Host) -> None:
    """Write down that the portal manages a host no more: nothing is known of its VMs, and nothing is done to them."""
    with transaction.atomic():
        held = hold(VirtualMachine.objects.filter(host=host))
        VirtualMachine.objects.filter(pk__in=held).update(status=VmStatus.GONE, observed_at=timezone.now())
        tell(topics=[HOSTS, VM_LIST])

"""The authority on which worker acts on a VM: a lease in the VM's row, taken by a conditional UPDATE.

A lease outlives the longest call to a hypervisor, and a worker is ended before its lease runs out (the task time
limit), so that two workers never act on one VM. A wake that meets a leased VM marks it, and the holder looks again.

What a look leaves to be written is written when the VM is given back, in one transaction: writers wait for each other.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from pathlib import Path
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError, close_old_connections, transaction
from django.db.models import Q
from django.utils import timezone

from vms.models import VirtualMachine

log = structlog.get_logger(__name__)

#: Longer than the task time limit, which is longer than the longest call to a hypervisor.
LEASE = timedelta(seconds=60)
#: What a look leaves to be written when the VM is given back; says False when that has been overtaken.
Rest = Callable[[], bool]

#: Seconds between attempts to give a VM back while the database is away.
_TRY_AGAIN_AFTER = 1.0


@lru_cache(maxsize=1)
def _node() -> str:
    """Name this boot of this machine: process ids mean nothing beyond it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        boot = ""
    return f"{socket.gethostname()}/{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"


def _started(pid: int) -> str | None:
    """Return the start time of a process in clock ticks, which tells apart two processes with the same id."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # A zombie acts no more, but keeps its entry until its parent reaps it.
    return None if fields[0] == "Z" else fields[19]


def _new_owner() -> str:
    pid = os.getpid()
    return f"{_node()}|{pid}|{_started(pid)}|{uuid.uuid4().hex[:8]}"


def _is_dead(owner: str) -> bool:
    """Say whether the owner of a lease is a process of this machine that has ended."""
    node, _, rest = owner.partition("|")
    pid, started, _unique = rest.split("|")
    return node == _node() and _started(int(pid)) != started


class _Claim(Enum):
    """What came of trying to take a VM."""

    TAKEN = "taken"
    NEEDLESS = "needless"
    """It was looked at since, and given back."""
    HELD = "held"


def _claim(vm_id: UUID, owner: str, since: datetime | None) -> _Claim:
    now = timezone.now()
    rows = VirtualMachine.objects.filter(pk=vm_id)
    claimed = {"lease_owner": owner, "lease_until": now + LEASE, "lease_at": now, "look_again": False}
    free = Q(lease_owner="")
    if since is not None:
        free &= Q(lease_at__isnull=True) | Q(lease_at__lte=since)
    with transaction.atomic():
        if rows.filter(free | Q(lease_until__lt=now)).update(**claimed):
            return _Claim.TAKEN
    holder = rows.values_list("lease_owner", flat=True).first()
    if holder == "" and since is not None:
        return _Claim.NEEDLESS
    # The worker that held it was killed: no need to wait for the lease to run out.
    if holder and _is_dead(holder) and rows.filter(lease_owner=holder).update(**claimed):
        return _Claim.TAKEN
    return _Claim.HELD


def ask_holder_to_look_again(vm_id: UUID) -> bool:
    """Mark a leased VM, so that its holder looks once more before it gives it back; False when nobody holds it.

    Nobody holds it by a lease that has run out: its worker was killed, and would never look again.
    """
    held = VirtualMachine.objects.filter(pk=vm_id, lease_until__gte=timezone.now()).exclude(lease_owner="")
    with transaction.atomic():
        return bool(held.update(look_again=True))


def forget_requests(vm_id: UUID) -> None:
    """Take note, as its holder, that a look is about to begin: it serves everybody who has asked for one until now.

    Most of what a watcher hears of a VM is what its worker is doing to it just now.
    """
    VirtualMachine.objects.filter(pk=vm_id, look_again=True).update(look_again=False)


def _release(vm_id: UUID, owner: str, rest: Rest | None) -> bool:
    """Give the lease back; False when somebody asked to look again, or has overtaken the look: the holder then must."""
    rows = VirtualMachine.objects.filter(pk=vm_id, lease_owner=owner)
    with transaction.atomic():
        if rows.filter(look_again=False).update(lease_owner="", lease_until=None):
            if rest is None or rest():
                return True
            transaction.set_rollback(True)
    return not rows.update(look_again=False, lease_until=timezone.now() + LEASE)


def look_while_leased(vm_id: UUID, look: Callable[[], Rest | None], *, since: datetime | None = None) -> bool:
    """Claim a VM and call `look`, again for as long as somebody asked for it meanwhile; then give the VM back.

    Args:
        look: Returns what it leaves to be written in the transaction that gives the VM back. Where that turns out to
            be overtaken, nothing is written, and it is called again.
        since: Look only where no worker began a look after this moment, and finished it. None: look in any case.

    Returns:
        False when another worker holds the VM, which was asked to look again, when it was looked at since, or when
        there is no such VM.
    """
    owner = _new_owner()
    try:
        while (claim := _claim(vm_id, owner, since)) is not _Claim.TAKEN:
            if claim is _Claim.NEEDLESS:
                return False
            if ask_holder_to_look_again(vm_id) or not VirtualMachine.objects.filter(pk=vm_id).exists():
                return False
        while not _release(vm_id, owner, look()):
            pass
    except BaseException:
        _give_back(vm_id, owner)
        raise
    return True


def _give_back(vm_id: UUID, owner: str) -> None:
    """Let go of a VM whose look failed: the next one need not wait for the lease, and must not take this for a look.

    The look may have failed because the database is away. It is tried until that is back or the lease has run out: as
    long as this process lives, nobody else would take the VM.
    """
    give_up_at = time.monotonic() + LEASE.total_seconds()
    while True:
        try:
            VirtualMachine.objects.filter(pk=vm_id, lease_owner=owner).update(
                lease_owner="", lease_until=None, lease_at=None
            )
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() > give_up_at:
                raise
            log.warning("database away; giving a VM back later", vm=str(vm_id), error=str(error))
        else:
            return
        time.sleep(_TRY_AGAIN_AFTER)
        close_old_connections()

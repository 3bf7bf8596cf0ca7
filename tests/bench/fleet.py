"""A large fleet on simulated hosts, written straight into a database: what a busy portal has after some weeks."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from django.utils import timezone

from vms.domain.configuration import Configuration
from vms.domain.observation import DomainState
from vms.domain.operation import Outcome, Stage
from vms.domain.power import Action, VmStatus
from vms.models import Host, Operation, Tag, VirtualMachine

HOSTS = 20
TAGS = 40
#: Operations that each VM has behind it, and how many are running anywhere.
OPERATIONS_EACH = 3
RUNNING = 30
#: One VM in so many waits for a cold start, has none of the usual status, bears a second tag.
_PENDING, _UNUSUAL, _TWICE_TAGGED = 20, 10, 3
_KINDS = ("web", "db", "cache", "build", "mail")
_UNUSUAL_STATUSES = (VmStatus.DOWN, VmStatus.PAUSED, VmStatus.SUSPENDED, VmStatus.NOT_RESPONDING)
_GIB = 1 << 30


def make(count: int, seed: int = 1) -> list[VirtualMachine]:
    """Write a fleet down, and return its VMs; the same for the same seed but for their ids."""
    chance = random.Random(f"fleet {seed}")
    now = timezone.now()
    hosts = Host.objects.bulk_create(
        Host(
            name=f"kvm{number:02}",
            uri=f"qemu+tls://kvm{number:02}.example/system",
            state=Host.State.CONNECTED,
            watched_until=now + timedelta(days=1),
        )
        for number in range(HOSTS)
    )
    tags = Tag.objects.bulk_create(Tag(name=f"team-{number:02}") for number in range(TAGS))
    vms = VirtualMachine.objects.bulk_create(_vms(count, hosts, chance, now), batch_size=500)
    bears = VirtualMachine.tags.through
    bears.objects.bulk_create(
        (
            bears(virtualmachine_id=vm.pk, tag_id=tag.pk)
            for vm in vms
            for tag in chance.sample(tags, 1 + (chance.randrange(_TWICE_TAGGED) == 0))
        ),
        batch_size=2000,
    )
    Operation.objects.bulk_create(_operations(vms, chance, now), batch_size=500)
    return vms


def _vms(count: int, hosts: Sequence[Host], chance: random.Random, now: datetime) -> Iterator[VirtualMachine]:
    for number in range(count):
        unusual = chance.randrange(_UNUSUAL) == 0
        status = chance.choice(_UNUSUAL_STATUSES) if unusual else VmStatus.UP
        runs = status is VmStatus.UP
        memory, vcpus = chance.choice((1, 2, 4, 8, 16)) * _GIB, chance.choice((1, 2, 4, 8))
        running = Configuration(memory=memory, vcpus=vcpus, boot=("hd",), cd_image="")
        waits = runs and chance.randrange(_PENDING) == 0
        stored = Configuration(memory=2 * memory, vcpus=vcpus, boot=("hd",), cd_image="") if waits else running
        yield VirtualMachine(
            host=chance.choice(hosts),
            uuid=uuid.UUID(int=chance.getrandbits(128), version=4),
            name=f"{_KINDS[number % len(_KINDS)]}{number:05}",
            memory=memory,
            vcpus=vcpus,
            status=status,
            domain_state=DomainState.RUNNING if runs else DomainState.DOWN,
            agent_channel=True,
            agent_connected=runs,
            running_since=now - timedelta(seconds=chance.randrange(10**7)) if runs else None,
            observed_at=now,
            stored_configuration=stored.as_json(),
            running_configuration=running.as_json() if runs else None,
            pending_count=1 if waits else 0,
        )


def _operations(vms: Sequence[VirtualMachine], chance: random.Random, now: datetime) -> Iterator[Operation]:
    outcomes = [Outcome.CLEAN_AGENT] * 8 + [Outcome.FORCED, Outcome.GAVE_UP]
    for vm in vms:
        for _ in range(OPERATIONS_EACH):
            began = now - timedelta(seconds=chance.randrange(3600, 10**6))
            yield _operation(
                vm,
                began,
                stage=Stage.ENDED,
                outcome=chance.choice(outcomes),
                asked_at=began,
                went_down_at=began + timedelta(seconds=20),
                ended_at=began + timedelta(seconds=40),
            )
    for vm in islice(vms, 0, None, max(1, len(vms) // RUNNING)):
        yield _operation(vm, now, stage=Stage.WAITING, asked_at=now, deadline_at=now + timedelta(minutes=1))


def _operation(vm: VirtualMachine, began: datetime, **fields: object) -> Operation:
    return Operation(
        vm=vm,
        action=Action.REBOOT,
        actor_name="grace",
        correlation_id=str(uuid.uuid4()),
        force=False,
        delay=60,
        force_origin="default",
        delay_origin="default",
        created_at=began,
        hard_deadline_at=began + timedelta(minutes=10),
        **fields,
    )

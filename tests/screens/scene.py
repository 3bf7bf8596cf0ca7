"""The sample data that screens are shown on: a small company's machines on one morning that never ends."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User

from tests.support.scene import MakeOperation, MakeVm, configuration, pending
from vms.domain.api_tokens import binding
from vms.domain.observation import Proof
from vms.domain.operation import Failure, Outcome, Stage, StepKind
from vms.domain.plan import PlanKind
from vms.domain.power import Action, VmStatus
from vms.engine.records import Code, record
from vms.hypervisor import png
from vms.models import (
    ApiToken,
    Bulk,
    BulkRefusal,
    Event,
    Glimpse,
    Host,
    HostCheck,
    Operation,
    OperationScreen,
    PortalDefaults,
    Sample,
    Tag,
    VirtualMachine,
)

NOW = datetime(2026, 3, 9, 10, 30, tzinfo=UTC)
#: As long a name as people give, and without a place to break it.
LONG_NAME = "customer-portal-frontend-production-eu-central-1-replica-0002"
_GIB = 1 << 30
_URI = "qemu+ssh://root@kvm3.example.org/system"
_REFUSED = "Cannot recv data: root@kvm3.example.org: Permission denied (publickey).: Connection reset by peer"
_OTHER_OUTCOMES = [outcome for outcome in Outcome if outcome not in (Outcome.FORCED, Outcome.FAILED)]
_TAGS = ("production", "web", "database", "customer-facing", "pci-dss", "backed-up-nightly", "eu-central")


@dataclass(frozen=True)
class Scene:
    """What screens name in their addresses."""

    host: Host
    away: Host
    checks: dict[str, HostCheck]
    vms: dict[str, VirtualMachine]
    running: Operation
    queued: Operation
    forced: Operation
    failed: Operation
    bulk: Bulk
    token: ApiToken


def build(host: Host, make_vm: MakeVm, make_operation: MakeOperation, ada: User) -> Scene:
    """Fill an empty database. The clock has to stand at `NOW`."""
    PortalDefaults.objects.create(id=1, bulk_in_flight=2)
    away = _hosts(host)
    vms = _vms(host, away, make_vm)
    forced = _forced(vms["web01"], make_operation)
    failed = make_operation(
        vms["legacy"],
        Action.RUN,
        outcome=Outcome.FAILED,
        failure=Failure.START_FAILED,
        plan={"action": Action.RUN, "steps": [{"kind": PlanKind.START, "after": 0}]},
        force=None,
        delay=None,
        failure_detail="internal error: process exited while connecting to monitor: Cannot allocate memory",
        reason="quarterly report",
        created_at=NOW - timedelta(seconds=90),
        correlation_id=_correlation(2),
    )
    for number, outcome in enumerate(_OTHER_OUTCOMES, start=10):
        ended = NOW - timedelta(minutes=number)
        times = {"created_at": ended - timedelta(seconds=20), "ended_at": ended}
        make_operation(vms["mail"], outcome=outcome, correlation_id=_correlation(number), **times)
    running = make_operation(vms["db01"], reason="security update of the kernel", correlation_id=_correlation(1))
    running.steps.create(
        number=1, kind=StepKind.PREPARE, at=running.created_at, answered_at=running.created_at, ok=True
    )
    assert running.asked_at is not None
    running.steps.create(number=2, kind=StepKind.ASK_AGENT, at=running.asked_at, answered_at=running.asked_at, ok=True)
    bulk, queued = _bulk(vms, make_operation)
    _looked_at(vms["web01"])
    _events(ada, vms, running, forced, failed)
    return Scene(host, away, _checks(), vms, running, queued, forced, failed, bulk, _token(ada))


def _correlation(number: int) -> str:
    return str(uuid.UUID(int=0x5F0C2A8E4B7D4C1E9A3600000000_0000 + number))


def _hosts(host: Host) -> Host:
    Host.objects.filter(pk=host.pk).update(
        hostname="kvm1.example.org", version="QEMU 7.2.0, libvirt 9.0.0", connected_at=NOW - timedelta(days=12)
    )
    host.refresh_from_db()
    return Host.objects.create(name="kvm3", uri=_URI, state=Host.State.UNREACHABLE, error=_REFUSED)


def _vms(host: Host, away: Host, make_vm: MakeVm) -> dict[str, VirtualMachine]:
    disks = [
        {"target": "vda", "source": "/var/lib/libvirt/images/legacy.qcow2", "kept": ""},
        {"target": "sda", "source": "/isos/debian-12.9.0-amd64-netinst.iso", "kept": "medium"},
    ]
    made = [
        make_vm("web01", description="The shop's front end"),
        make_vm("web02", running_since=NOW - timedelta(hours=5), **pending(memory=8 * _GIB, vcpus=4)),
        make_vm("db01", VmStatus.REBOOT_IN_PROGRESS, memory=32 * _GIB, vcpus=8),
        make_vm("mail", agent_connected=False, force_power_off=True, graceful_delay=15),
        make_vm("legacy", VmStatus.DOWN, memory=_GIB, vcpus=1, agent_channel=False, disks=disks),
        make_vm("build-runner", VmStatus.POWERING_UP, run_stateless=True, running_since=NOW - timedelta(seconds=20)),
        make_vm("staging", VmStatus.PAUSED),
        make_vm("desktop", VmStatus.SUSPENDED, managed_save=True),
        make_vm("archive", VmStatus.NOT_RESPONDING, host=away),
        make_vm("nightly", VmStatus.WAIT_FOR_LAUNCH),
        make_vm("old-intranet", VmStatus.GONE),
        make_vm("replica", VmStatus.MIGRATING, run_once=True),
        make_vm("shop", VmStatus.POWERING_DOWN, change_waits=True),
        make_vm("wiki", VmStatus.UNKNOWN),
        make_vm("batch01", VmStatus.REBOOT_IN_PROGRESS),
        make_vm("batch02"),
        make_vm("batch03"),
        make_vm(LONG_NAME, **pending(boot=("cdrom", "hd"), cd_image="/isos/debian-12.9.0-amd64-netinst.iso")),
    ]
    for number, vm in enumerate(made):
        vm.uuid = uuid.UUID(int=0x4B7D4C1E_9A36_4000_8000_000000000000 + number)
        vm.save()
    tags = [Tag.objects.create(name=name) for name in _TAGS]
    vms = {vm.name: vm for vm in made}
    vms[LONG_NAME].tags.set(tags)
    vms["web01"].tags.set(tags[:2])
    vms["db01"].tags.set([tags[0], tags[2]])
    return vms


def _forced(vm: VirtualMachine, make_operation: MakeOperation) -> Operation:
    began = NOW - timedelta(hours=2)
    operation = make_operation(
        vm,
        outcome=Outcome.FORCED,
        force=True,
        force_origin="vm",
        reason="new kernel",
        actor_name="ada",
        correlation_id=_correlation(0),
        created_at=began,
        asked_at=began + timedelta(seconds=0.4),
        went_down_at=began + timedelta(seconds=60.6),
        started_at=began + timedelta(seconds=61),
        returned_at=began + timedelta(seconds=64.1),
        ended_at=began + timedelta(seconds=64.1),
        proof=Proof.AGENT,
    )
    operation.plan["subject"] = {
        "name": vm.name,
        "host": vm.host.name,
        "status": "up",
        "up_since": (began - timedelta(days=40)).isoformat(),
    }
    operation.plan["policy"] |= {"force": True, "force_origin": "vm"}
    operation.plan["steps"][2]["kind"] = PlanKind.POWER_OFF
    operation.plan["changes"] = [{"part": "memory", "now": 2 * _GIB, "next": configuration()["memory"]}]
    operation.save()
    calls = (
        (StepKind.PREPARE, 0.2, True, ""),
        (StepKind.ASK_AGENT, 0.4, False, "guest agent is not responding: Guest agent not available for now"),
        (StepKind.PRESS_BUTTON, 0.5, True, ""),
        (StepKind.PRESS_BUTTON, 30.5, True, ""),
        (StepKind.SCREENSHOT, 60.4, True, ""),
        (StepKind.DESTROY, 60.5, True, ""),
        (StepKind.START, 61, True, ""),
    )
    for number, (kind, seconds, ok, detail) in enumerate(calls, start=1):
        at = began + timedelta(seconds=seconds)
        operation.steps.create(number=number, kind=kind, at=at, answered_at=at, ok=ok, detail=detail)
    width, height, picture = _picture()
    OperationScreen.objects.create(
        operation=operation,
        taken_at=began + timedelta(seconds=60.4),
        width=width,
        height=height,
        size=len(picture),
        png=picture,
    )
    return operation


def _bulk(vms: dict[str, VirtualMachine], make_operation: MakeOperation) -> tuple[Bulk, Operation]:
    names = ("batch01", "batch02", "batch03")
    bulk = Bulk.objects.create(
        action=Action.REBOOT, asked_for=4, cap=1, actor_name="ada", reason="patches", correlation_id=_correlation(9)
    )
    for position, name in enumerate(names):
        queued = position > 0
        operation = make_operation(
            vms[name],
            stage=Stage.QUEUED if queued else Stage.WAITING,
            bulk=bulk,
            bulk_position=position,
            was_queued=queued,
            created_at=NOW - timedelta(seconds=15 - position),
            correlation_id=bulk.correlation_id,
            **({"asked_at": None, "deadline_at": None} if queued else {}),
        )
    BulkRefusal.objects.create(bulk=bulk, vm=vms["legacy"], position=3, reason="Cannot reboot legacy: it is Down.")
    return bulk, operation


def _looked_at(vm: VirtualMachine) -> None:
    """What its page shows of it: the last quarter of an hour, its screen, what its guest says, its definition."""
    Sample.objects.bulk_create(
        Sample(
            vm=vm,
            at=NOW - timedelta(seconds=10 * number),
            resolution=10,
            cpu=0.4 + 0.3 * math.sin(number / 8),
            memory=vm.memory,
            memory_used=2 * _GIB + (number << 23),
            disk_read=400_000 + int(300_000 * math.sin(number / 5)),
            disk_written=90_000,
            net_received=50_000 + int(40_000 * math.cos(number / 6)),
            net_sent=20_000,
        )
        for number in range(88)
    )
    width, height, picture = _picture()
    text = f"<domain type='kvm'>\n  <name>{vm.name}</name>\n  <memory unit='GiB'>4</memory>\n</domain>\n"
    facts = {"system": "Debian GNU/Linux 12 (bookworm)", "addresses": ["192.0.2.7", "2001:db8::7"]}
    told: tuple[tuple[Glimpse.Kind, dict[str, Any]], ...] = (
        (Glimpse.Kind.SCREEN, {"width": width, "height": height, "png": picture}),
        (Glimpse.Kind.GUEST, {"facts": facts}),
        (Glimpse.Kind.DEFINITION, {"text": text}),
    )
    for kind, fields in told:
        Glimpse.objects.create(vm=vm, kind=kind, taken_at=NOW, waits=False, **fields)


def _picture() -> tuple[int, int, bytes]:
    width, height = 640, 360
    return (
        width,
        height,
        png.write(width, height, b"".join(bytes((0, 0, 40 + row // 4)) * width for row in range(height))),
    )


def _token(ada: User) -> ApiToken:
    """Two that Ada's programs use, of which the first is hers to revoke."""
    common = {
        "person": ada,
        "bound_to": binding(ada.password),
        "last_used_at": NOW - timedelta(minutes=3),
        "address": "192.0.2.44",
    }
    made = ApiToken.objects.create(
        kind=ApiToken.Kind.TOKEN,
        name="Ansible on the build server",
        digest="0" * 64,
        made_at=NOW - timedelta(days=20),
        good_until=NOW + timedelta(days=70),
        expires_at=NOW + timedelta(days=70),
        **common,
    )
    ApiToken.objects.create(
        kind=ApiToken.Kind.SESSION,
        name="PythonSDK/4.6.3",
        digest="1" * 64,
        made_at=NOW - timedelta(minutes=20),
        begun_with=made,
        good_until=NOW + timedelta(minutes=57),
        expires_at=NOW + timedelta(hours=23),
        **common,
    )
    return made


def _events(
    ada: User, vms: dict[str, VirtualMachine], running: Operation, forced: Operation, failed: Operation
) -> None:
    severity = Event.Severity
    record(Code.COLD_REBOOT_DOWN, "web01 was powered off to be rebooted.", vm=vms["web01"], operation=forced, actor=ada)
    record(Code.VM_REBOOTED, "web01 was rebooted.", vm=vms["web01"], operation=forced, actor=ada)
    record(Code.VM_GONE, "old-wiki is no longer defined on kvm1.", severity=severity.WARNING)
    record(
        Code.VM_RUN_FAILED,
        f"legacy could not be started. The host said: {failed.failure_detail}",
        severity=severity.ERROR,
        vm=vms["legacy"],
        operation=failed,
        actor=ada,
    )
    record(Code.ACCEPTED, f"Reboot of {LONG_NAME} was accepted.", vm=vms[LONG_NAME], actor=ada)
    record(Code.ACCEPTED, "Reboot of db01 was accepted.", vm=vms["db01"], operation=running, actor=ada)


def _checks() -> dict[str, HostCheck]:
    state = HostCheck.State
    asked = {"name": "kvm3", "uri": _URI, "created_at": NOW}
    found = {"hostname": "kvm3.example.org", "version": "QEMU 7.2.0, libvirt 9.0.0", "vm_count": 12}
    return {
        "waiting": HostCheck.objects.create(**asked),
        "passed": HostCheck.objects.create(**asked, state=state.PASSED, **found),
        "failed": HostCheck.objects.create(**asked, state=state.FAILED, error=_REFUSED),
    }

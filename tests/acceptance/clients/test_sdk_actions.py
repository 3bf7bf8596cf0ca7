"""oVirt's Python SDK has things done to VMs, and reads from jobs what came of it. Source: REST contract, 5 and 7."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from typing import Any

import ovirtsdk4
import pytest
from ovirtsdk4 import types

from tests.acceptance.clients import sdk
from tests.acceptance.clients.conftest import Guest
from tests.acceptance.instance import operation, wait_step
from tests.support.fake import FakeDaemon
from vms.domain.operation import Outcome
from vms.hypervisor.fake import STUBBORN, Temper
from vms.models import Operation

CLIENTS = 50


@pytest.fixture(scope="module")
def connection(api: str) -> Iterator[ovirtsdk4.Connection]:
    """The administrator, connected."""
    with sdk.connected(api) as connection:
        yield connection


def began(service: Any) -> datetime:
    """Return when the run of a VM began."""
    since: datetime = service.get().start_time
    return since


def test_a_vm_is_started_shut_down_suspended_and_resumed(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    guest("plain", Temper(boot=0.5, slow=0.5, save=0.5), running=False)
    service = sdk.vm_service(connection, "plain")
    service.start()
    assert service.get().status in (types.VmStatus.WAIT_FOR_LAUNCH, types.VmStatus.POWERING_UP)
    sdk.wait_for(service, types.VmStatus.UP)
    service.suspend()
    assert service.get().status == types.VmStatus.SAVING_STATE
    sdk.wait_for(service, types.VmStatus.SUSPENDED)
    service.start()
    assert service.get().status == types.VmStatus.RESTORING_STATE
    sdk.wait_for(service, types.VmStatus.UP)
    service.shutdown(reason="the evening")
    assert service.get().status == types.VmStatus.POWERING_DOWN
    assert sdk.wait_for(service, types.VmStatus.DOWN).stop_time is not None


def test_a_vm_is_powered_off_and_the_reason_is_kept(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    machine = guest("to-stop", STUBBORN)
    service = sdk.vm_service(connection, "to-stop")
    service.stop(reason="it smokes")
    sdk.wait_for(service, types.VmStatus.DOWN)
    assert Operation.objects.get(vm=machine).reason == "it smokes"
    with pytest.raises(ovirtsdk4.Error) as refused:
        service.stop()
    assert refused.value.code == 409


@pytest.mark.behaviour(13)
def test_what_is_run_once_is_so_for_one_run(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    guest("once", running=False, memory=1 << 30)
    service = sdk.vm_service(connection, "once")
    service.start(
        vm=types.Vm(
            memory=2 << 30,
            os=types.OperatingSystem(boot=types.Boot(devices=[types.BootDevice.NETWORK])),
            initialization=types.Initialization(nic_configurations=[]),
        )
    )
    running = sdk.wait_for(service, types.VmStatus.UP)
    assert (running.run_once, running.memory) == (True, 2 << 30)
    assert service.get(next_run=True).memory == 1 << 30
    service.reboot()
    assert service.get().status == types.VmStatus.REBOOT_IN_PROGRESS
    again = sdk.wait_for(service, types.VmStatus.UP)
    assert (again.run_once, again.memory) == (False, 1 << 30)


def test_an_override_that_this_portal_lacks_is_named(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    guest("lacking", running=False)
    service = sdk.vm_service(connection, "lacking")
    with pytest.raises(ovirtsdk4.Error) as refused:
        service.start(vm=types.Vm(initialization=types.Initialization(host_name="web01")))
    assert refused.value.code == 400
    assert "initialization" in refused.value.fault.detail
    assert service.get().status == types.VmStatus.DOWN


def test_a_reboot_is_one_new_run_and_its_job_says_so(
    connection: ovirtsdk4.Connection, guest: Guest, fake_host: FakeDaemon
) -> None:
    machine = guest("reboots")
    service = sdk.vm_service(connection, "reboots")
    was = began(service)
    job = sdk.job_of(connection, service.reboot)
    assert service.get().status == types.VmStatus.REBOOT_IN_PROGRESS
    assert sdk.wait_ended(job).status == types.JobStatus.FINISHED
    sdk.wait_for(service, types.VmStatus.UP)
    assert began(service) > was
    assert len(fake_host.control.log(str(machine.uuid), names=["start"], call=True, effect=True)) == 1
    steps = job.steps_service().list()
    assert steps
    assert {step.status for step in steps} == {types.StepStatus.FINISHED}


@pytest.mark.behaviour(1, 2, 3)
def test_a_stubborn_guest_is_left_alone_unless_the_reboot_may_force(
    connection: ovirtsdk4.Connection, guest: Guest
) -> None:
    guest("stubborn", STUBBORN)
    service = sdk.vm_service(connection, "stubborn")
    was = began(service)
    asked = sdk.job_of(connection, lambda: service.reboot(force=False, query={"graceful_delay": "2"}))
    assert sdk.wait_ended(asked).status == types.JobStatus.FAILED
    assert sdk.wait_for(service, types.VmStatus.UP).start_time == was
    forced = sdk.job_of(connection, lambda: service.reboot(force=True, query={"graceful_delay": "2"}))
    ended = sdk.wait_ended(forced)
    assert ended.status == types.JobStatus.FINISHED
    assert operation(ended.id).outcome == Outcome.FORCED
    assert sdk.wait_for(service, types.VmStatus.UP).start_time > was


def test_a_stubborn_guest_is_shut_down_by_force_alone(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    machine = guest("stubborn-off", STUBBORN)
    service = sdk.vm_service(connection, "stubborn-off")
    asked = sdk.job_of(connection, lambda: service.shutdown(query={"graceful_delay": "2"}))
    assert sdk.wait_ended(asked).status == types.JobStatus.FAILED
    service.shutdown(force=True, reason="the end of it", query={"graceful_delay": "2"})
    sdk.wait_for(service, types.VmStatus.DOWN)
    last = Operation.objects.filter(vm=machine).latest("created_at")
    assert (last.outcome, last.reason, last.delay) == (Outcome.FORCED, "the end of it", 2)


@pytest.mark.behaviour(23)
def test_a_power_off_overtakes_a_shutdown_that_waits(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    guest("overtaken", STUBBORN)
    service = sdk.vm_service(connection, "overtaken")
    waiting = sdk.job_of(connection, lambda: service.shutdown(query={"graceful_delay": "600"}))
    service.stop()
    sdk.wait_for(service, types.VmStatus.DOWN)
    assert sdk.wait_ended(waiting).status == types.JobStatus.ABORTED


@pytest.mark.behaviour(7)
def test_a_reset_asks_no_guest(connection: ovirtsdk4.Connection, guest: Guest, fake_host: FakeDaemon) -> None:
    machine = guest("reset", STUBBORN)
    service = sdk.vm_service(connection, "reset")
    was = began(service)
    service.reset()
    assert service.get().status == types.VmStatus.REBOOT_IN_PROGRESS
    assert sdk.wait_for(service, types.VmStatus.UP).start_time > was
    assert fake_host.control.log(str(machine.uuid), names=["ask_agent", "press_button"], call=True) == []


@pytest.mark.behaviour(22)
def test_of_fifty_clients_that_reboot_one_vm_one_does(
    api: str, connection: ovirtsdk4.Connection, guest: Guest, fake_host: FakeDaemon
) -> None:
    machine = guest("wanted", Temper(slow=3.0))
    token, together = connection.authenticate(), Barrier(CLIENTS)

    def reboot(_: int) -> ovirtsdk4.Error | None:
        client = ovirtsdk4.Connection(url=api, token=token, timeout=120)
        together.wait()
        try:
            sdk.vms(client).vm_service(str(machine.pk)).reboot()
        except ovirtsdk4.Error as refused:
            return refused
        finally:
            client.close(logout=False)
        return None

    with ThreadPoolExecutor(CLIENTS) as threads:
        answers = list(threads.map(reboot, range(CLIENTS)))
    assert Counter(answer.code if answer else 200 for answer in answers) == {200: 1, 409: CLIENTS - 1}
    (job,) = Operation.objects.filter(vm=machine)
    assert [str(job.pk) in answer.fault.detail for answer in answers if answer] == [True] * (CLIENTS - 1)
    sdk.wait_ended(connection.system_service().jobs_service().job_service(str(job.pk)))
    assert len(fake_host.control.log(str(machine.uuid), names=["start"], call=True, effect=True)) == 1


def test_a_job_under_way_tells_its_steps(connection: ovirtsdk4.Connection, guest: Guest) -> None:
    guest("slowly", STUBBORN)
    service = sdk.vm_service(connection, "slowly")
    job = sdk.job_of(connection, lambda: service.reboot(query={"graceful_delay": "600"}))
    wait_step(job.get().id, "ask_agent")
    shown = job.get()
    assert shown.status == types.JobStatus.STARTED
    assert shown.end_time is None
    assert shown.owner is not None
    assert "slowly" in shown.description
    assert job.steps_service().list()
    service.stop()
    sdk.wait_for(service, types.VmStatus.DOWN)

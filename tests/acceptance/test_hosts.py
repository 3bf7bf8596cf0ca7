"""Several hosts at once, with real processes: added in the portal, explained, hung, back again; none slows another."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from tests.acceptance.instance import Answer, Instance, Person, ended, vm, wait_status
from tests.support.fake import FakeDaemon
from tests.support.libvirtd import PrivateLibvirtd
from tests.support.waiting import wait_until
from vms.domain.operation import Failure, Outcome, Stage
from vms.hypervisor.fake import OBEDIENT, STUBBORN
from vms.models import Event, Host, HostCheck, Operation, VirtualMachine

WAITING = 50
#: While a host hangs, a guest on another one is asked within this time, in seconds.
ASKED_WITHIN = 1.0
#: Reboots of the other host's VM, one after the other: from before the hang is noticed until long after.
REBOOTS = 12

pytestmark = pytest.mark.behaviour(29)


@pytest.fixture(scope="module")
def admin(portal: Instance) -> Person:
    """The administrator, logged in."""
    return portal.person()


@pytest.fixture(scope="module")
def second_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDaemon]:
    """A second fake host, which the portal does not know yet."""
    daemon = FakeDaemon(tmp_path_factory.mktemp("second"))
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture(scope="module")
def healthy(admin: Person, second_host: FakeDaemon) -> FakeDaemon:
    """The second host, added in the portal."""
    add(admin, "healthy", second_host.uri)
    wait_connected("healthy")
    return second_host


def result_of_testing(admin: Person, name: str, uri: str) -> Answer:
    """Have a connection tested, and return the page that tells its result."""
    answer = admin.post("/hosts/add/", name=name, uri=uri)
    assert re.search(r"/hosts/checks/[0-9a-f-]+/$", answer.url), answer.body[:2000]

    def told() -> Answer | None:
        page = admin.get(answer.url)
        return None if "data-live=" in page.body.split('id="host_check"')[1].split(">")[0] else page

    return wait_until(told, "the test has its result", 30, 0.2)


def add(admin: Person, name: str, uri: str) -> Host:
    """Add a host as a person does."""
    page = result_of_testing(admin, name, uri)
    assert "The connection works." in page.body, page.body[:3000]
    answer = admin.post(f"{page.url}use/")
    assert f"{name} was added." in answer.body
    return Host.objects.get(name=name)


def wait_connected(name: str) -> None:
    """Wait until a host is watched."""
    wait_until(lambda: Host.objects.filter(name=name, state=Host.State.CONNECTED).exists(), f"{name} is watched", 30)


@contextmanager
def standing_still(pid: int | None) -> Iterator[None]:
    """Let a daemon hang: its connections stay open, and nothing is answered."""
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_hosts_of_several_kinds_are_managed_at_once(
    portal: Instance, admin: Person, healthy: FakeDaemon, libvirtd: PrivateLibvirtd
) -> None:
    add(admin, "simulated", f"test+unix:///default?socket={libvirtd.socket}")
    add(admin, "session", libvirtd.uri)
    healthy.control.define("on-the-second", OBEDIENT)
    # The guest that libvirt simulates has no power button.
    for name, machine, action in (("simulated", "test", "power_cycle"), ("healthy", "on-the-second", "reboot")):
        wait_connected(name)
        found = vm(machine)
        assert found.host.name == name
        wait_status(found, "up")
        assert ended(admin.act(action, found).pk).succeeded
    wait_connected("session")
    page = admin.get("/hosts/").body
    assert page.count("Connected</span>") >= 4


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("qemu+tcp://127.0.0.1:1/system", "nobody listens on that port"),
        ("qemu+tcp://no-such-host.invalid/system", "is not known to the portal&#x27;s machine"),
        ("qemu+tls://127.0.0.1:1/system?pkipath=/nowhere", "certificate cannot be used"),
        ("qemu:///system?socket=/nowhere/libvirt-sock", "libvirt is not running on the portal&#x27;s machine"),
    ],
)
def test_a_host_that_cannot_be_reached_is_explained_before_it_is_added(admin: Person, uri: str, told: str) -> None:
    page = result_of_testing(admin, "wrong", uri)
    assert told in page.body
    assert not Host.objects.filter(name="wrong").exists()


def test_a_uri_that_runs_a_program_reaches_nobody(admin: Person, tmp_path: Path) -> None:
    program, proof = tmp_path / "evil", tmp_path / "proof"
    program.write_text(f"#!/bin/sh\ntouch {proof}\n")
    program.chmod(0o755)
    checks = HostCheck.objects.count()
    for uri in (f"qemu+ext:///system?command={program}", f"qemu+ssh://127.0.0.1/system?command={program}"):
        assert admin.post("/hosts/add/", name="evil", uri=uri).status == 422
    assert HostCheck.objects.count() == checks
    assert not proof.exists()


@pytest.mark.alone
def test_a_host_that_hangs_slows_no_other_and_its_operations_go_on_when_it_is_back(
    portal: Instance,
    admin: Person,
    fake_host: FakeDaemon,
    healthy: FakeDaemon,
    record_property: Callable[[str, object], None],
) -> None:
    fake_host.control.define_many(WAITING, "hung-", STUBBORN)
    healthy.control.define("beside", OBEDIENT)
    beside = vm("beside")
    hung = VirtualMachine.objects.filter(name__startswith="hung-")
    wait_until(lambda: hung.filter(status="up").count() == WAITING, "they are found", 90, 0.2)
    wait_status(beside, "up")

    # None is to queue: it is how many can wait for a host that hangs that is shown here.
    admin.set_defaults(bulk_in_flight=WAITING)
    answer = admin.post("/vms/reboot/", vm=list(hung.values_list("pk", flat=True)), force="yes", graceful_delay=10)
    assert answer.status == 200
    operations = Operation.objects.filter(vm__in=hung)
    wait_until(lambda: operations.filter(stage=Stage.WAITING).count() >= WAITING // 2, "half of them are asked", 30)
    with standing_still(fake_host.pid):
        # From the first moment on: a hang must not be noticed at the others' expense either.
        times = [asked_after(admin, beside, healthy) for _ in range(REBOOTS)]
        wait_until(lambda: not hung.exclude(status="not_responding").exists(), "they do not respond", 30, 0.2)
        times.append(asked_after(admin, beside, healthy))
        assert not operations.exclude(stage=Stage.ENDED).exclude(wake_at__isnull=False).exists()
        assert admin.get("/").status == 200
    record_property(
        "figure",
        f"{REBOOTS + 1} reboots beside a hung host with {WAITING} operations: asked after {max(times):.2f} s at most",
    )
    assert max(times) < ASKED_WITHIN, times

    wait_until(lambda: not operations.exclude(stage=Stage.ENDED).exists(), "they go on to their end", 90, 0.2)
    assert set(operations.values_list("outcome", flat=True)) == {Outcome.FORCED}
    wait_until(lambda: hung.filter(status="up").count() == WAITING, "they are up again", 60, 0.2)
    starts = fake_host.control.log(names=["start"], call=True, effect=True)
    assert len(starts) == WAITING


def asked_after(admin: Person, machine: VirtualMachine, host: FakeDaemon) -> float:
    """Reboot an obedient VM to its end, and return the seconds from the request until its guest was asked."""
    logged = host.control.log(str(machine.uuid))
    began = time.time()
    operation = admin.act("reboot", machine)
    asked = host.control.wait_log(str(machine.uuid), "ask_agent", after=logged[-1].seq if logged else 0, timeout=30)
    assert ended(operation.pk).outcome == Outcome.CLEAN_AGENT
    wait_status(machine, "up")
    return asked.at - began


def test_an_operation_on_a_host_that_stays_away_fails_at_its_deadline_with_that_reason(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    fake_host.control.define("lost", STUBBORN)
    machine = vm("lost")
    wait_status(machine, "up")
    operation = admin.act("reboot", machine)
    fake_host.control.wait_log(str(machine.uuid), "ask_agent")
    deadline = timezone.now() + timedelta(seconds=8)
    Operation.objects.filter(pk=operation.pk).update(hard_deadline_at=deadline)
    with standing_still(fake_host.pid):
        failed = ended(operation.pk)
        assert (failed.outcome, failed.failure) == (Outcome.FAILED, Failure.HOST_UNREACHABLE)
        assert failed.ended_at is not None
        assert timedelta() <= failed.ended_at - deadline < timedelta(seconds=10)
        wait_status(machine, "not_responding")
        assert "does not answer" in admin.get("/hosts/").body
    wait_status(machine, "up")
    told = Event.objects.filter(host__uri=fake_host.uri).order_by("-id").values_list("message", flat=True)
    assert any("answers again" in message for message in told)


def test_a_libvirtd_that_hangs_is_noticed_and_comes_back(
    portal: Instance, admin: Person, libvirtd: PrivateLibvirtd
) -> None:
    machine = VirtualMachine.objects.get(host__name="simulated")
    with standing_still(libvirtd.pid):
        wait_status(machine, "not_responding")
        assert admin.try_to("power_cycle", machine).status == 409
    wait_status(machine, "up")
    assert ended(admin.act("power_cycle", machine).pk).succeeded


def test_a_host_is_removed_once_nothing_runs_on_it_and_comes_back_with_its_history(
    portal: Instance, admin: Person, healthy: FakeDaemon
) -> None:
    uuid = healthy.control.define("kept", STUBBORN)
    machine, host = vm("kept"), Host.objects.get(name="healthy")
    wait_status(machine, "up")
    operation = admin.act("reboot", machine, force="yes", graceful_delay=3)
    refused = admin.post(f"/hosts/{host.pk}/remove/")
    assert refused.status == 409
    assert "running on it" in refused.body
    assert ended(operation.pk).outcome == Outcome.FORCED
    wait_status(machine, "up")

    assert admin.post(f"/hosts/{host.pk}/remove/").status == 200
    assert "kept" not in admin.get("/").body
    assert healthy.control.inside(uuid)["run"] is not None
    add(admin, "healthy again", healthy.uri)
    wait_connected("healthy again")
    wait_status(machine, "up")
    assert operation.get_absolute_url() in admin.get("/operations/").body

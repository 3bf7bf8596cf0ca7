"""Any process killed with SIGKILL while a reboot is under way: it ends as if nothing had happened."""

from __future__ import annotations

import pytest

from tests.acceptance.instance import Instance, Person, ended, messages, vm, wait_status, wait_step
from tests.support.fake import FakeDaemon
from tests.support.waiting import wait_until
from vms.domain.operation import Outcome
from vms.hypervisor.fake import ACPI_ONLY, STUBBORN, Temper
from vms.models import Operation, VirtualMachine

pytestmark = pytest.mark.both_databases

_ASKS = ("ask_agent", "press_button")
SLOW = Temper(slow=4)


@pytest.fixture(scope="module")
def admin(portal: Instance) -> Person:
    """The administrator, logged in."""
    return portal.person()


class Reboot:
    """One reboot of one VM of its own, and what the host says of it."""

    def __init__(self, admin: Person, host: FakeDaemon, name: str, temper: Temper, **fields: object) -> None:
        self.host = host
        self.uuid = host.control.define(name, temper)
        self.vm: VirtualMachine = vm(name)
        self._admin = admin
        self._fields = fields

    def begin(self) -> Operation:
        """Have it rebooted."""
        return self._admin.act("reboot", self.vm, **self._fields)

    def calls(self) -> list[str]:
        """Return the asks, and the other calls that had an effect, by the host's own log; repeated asks count once."""
        log = self.host.control.log(self.uuid, names=(*_ASKS, "destroy", "start"), call=True)
        names = [entry.name for entry in log if entry.effect or entry.name in _ASKS]
        return [name for number, name in enumerate(names) if name not in _ASKS or name not in names[:number]]

    def check(self, operation: Operation, outcome: Outcome, calls: list[str]) -> None:
        """It ended as it would have without a kill, and the VM runs."""
        done = ended(operation.pk, 90)
        assert done.outcome == outcome, (done.failure, done.failure_detail, messages(self.vm))
        assert self.calls() == calls
        wait_status(self.vm, "up", 5)
        wait_until(self._left_alone, "no lease is left")
        assert self.host.control.inside(self.uuid)["run"]["number"] == 2, "it was started exactly once"

    def _left_alone(self) -> bool:
        self.vm.refresh_from_db()
        return not self.vm.lease_owner


@pytest.mark.behaviour(25)
def test_the_worker_is_killed_while_it_waits(portal: Instance, admin: Person, fake_host: FakeDaemon) -> None:
    reboot = Reboot(admin, fake_host, "killed-waiting", SLOW, graceful_delay=30)
    operation = reboot.begin()
    wait_step(operation.pk, "ask_agent", ok=True)
    portal.kill("worker")
    reboot.check(operation, Outcome.CLEAN_AGENT, ["ask_agent", "start"])


@pytest.mark.behaviour(25)
def test_the_worker_is_killed_right_after_the_guest_was_asked(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    reboot = Reboot(admin, fake_host, "killed-asking", SLOW, graceful_delay=30)
    fake_host.control.hold(reboot.uuid, "ask_agent", when="after")
    operation = reboot.begin()
    fake_host.control.wait_held(reboot.uuid, "ask_agent")
    portal.kill("worker")
    fake_host.control.release(reboot.uuid, "ask_agent")
    reboot.check(operation, Outcome.CLEAN_AGENT, ["ask_agent", "start"])


@pytest.mark.behaviour(25)
def test_the_worker_is_killed_right_after_the_guest_went_down(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    reboot = Reboot(admin, fake_host, "killed-down", Temper(agent=ACPI_ONLY.agent, slow=1), graceful_delay=30)
    fake_host.control.hold(reboot.uuid, "start", when="before")
    operation = reboot.begin()
    fake_host.control.wait_held(reboot.uuid, "start")
    portal.kill("worker")
    fake_host.control.release(reboot.uuid, "start")
    reboot.check(operation, Outcome.CLEAN_ACPI, ["press_button", "start"])


@pytest.mark.behaviour(25)
def test_the_worker_is_killed_right_after_the_start_call(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    reboot = Reboot(admin, fake_host, "killed-starting", Temper(slow=1), graceful_delay=30)
    fake_host.control.hold(reboot.uuid, "start", when="after")
    operation = reboot.begin()
    fake_host.control.wait_held(reboot.uuid, "start")
    portal.kill("worker")
    fake_host.control.release(reboot.uuid, "start")
    reboot.check(operation, Outcome.CLEAN_AGENT, ["ask_agent", "start"])


@pytest.mark.behaviour(25)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_worker_is_killed_in_the_destroy_call(
    portal: Instance, admin: Person, fake_host: FakeDaemon, when: str
) -> None:
    reboot = Reboot(admin, fake_host, f"killed-destroying-{when}", STUBBORN, graceful_delay=6, force="yes")
    fake_host.control.hold(reboot.uuid, "destroy", when="before" if when == "before" else "after")
    operation = reboot.begin()
    fake_host.control.wait_held(reboot.uuid, "destroy", timeout=20)
    portal.kill("worker")
    fake_host.control.release(reboot.uuid, "destroy")
    reboot.check(operation, Outcome.FORCED, ["ask_agent", "press_button", "destroy", "start"])


@pytest.mark.behaviour(25)
def test_redis_is_killed_and_comes_back_empty_during_the_wait(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    reboot = Reboot(admin, fake_host, "without-redis", SLOW, graceful_delay=30)
    operation = reboot.begin()
    wait_step(operation.pk, "ask_agent", ok=True)
    for directory in (portal.home / "redis").glob("appendonlydir"):
        for file in directory.iterdir():
            file.unlink()
    was = portal.kill("redis")
    portal.wait_restarted("redis", was)
    wait_until(portal.redis().ping, "Redis answers")
    reboot.check(operation, Outcome.CLEAN_AGENT, ["ask_agent", "start"])


@pytest.mark.behaviour(25)
def test_the_watcher_is_killed_and_the_reboot_ends_at_most_five_seconds_later(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    reboot = Reboot(admin, fake_host, "without-watcher", SLOW, graceful_delay=30)
    operation = reboot.begin()
    wait_step(operation.pk, "ask_agent", ok=True)
    portal.kill("watcher")
    reboot.check(operation, Outcome.CLEAN_AGENT, ["ask_agent", "start"])
    down = fake_host.control.log(reboot.uuid, names=["went_down"])[0].at
    started = fake_host.control.log(reboot.uuid, names=["start"], call=True)[0].at
    assert started - down < 5


@pytest.mark.behaviour(25)
@pytest.mark.parametrize("name", ["web", "beat"])
def test_web_or_beat_is_killed_during_the_wait(
    portal: Instance, admin: Person, fake_host: FakeDaemon, name: str
) -> None:
    reboot = Reboot(admin, fake_host, f"without-{name}", SLOW, graceful_delay=30)
    operation = reboot.begin()
    wait_step(operation.pk, "ask_agent", ok=True)
    was = portal.kill(name)
    portal.wait_restarted(name, was)
    wait_until(lambda: _answers(portal), "the web server answers", 30)
    reboot.check(operation, Outcome.CLEAN_AGENT, ["ask_agent", "start"])


def _answers(portal: Instance) -> bool:
    try:
        return portal.person().get("/").status == 200
    except OSError:
        return False

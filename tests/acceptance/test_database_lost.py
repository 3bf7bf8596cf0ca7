"""PostgreSQL is lost for ten seconds in mid-operation: nothing is lost, and nobody is told anything wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from tests.acceptance.instance import Browser, Instance, Person, ended, messages, vm, wait_status, wait_step
from tests.support.fake import FakeDaemon
from tests.support.postgres import PrivatePostgres, Stop, new_database
from tests.support.waiting import wait_until
from vms.domain.operation import Outcome
from vms.hypervisor.fake import OBEDIENT, STUBBORN, Temper
from vms.models import Operation

OUTAGE = 10.0
#: Seconds after which an operation that only waited for the database must have ended.
SOON = 15.0
PROCESSES = ("web", "worker", "beat", "watcher")


@pytest.fixture(scope="module")
def server() -> Iterator[PrivatePostgres]:
    """A PostgreSQL of this module's own, with all it does to keep what it was given."""
    with PrivatePostgres(durable=True) as server:
        yield server


@pytest.fixture(scope="module")
def database_url(server: PrivatePostgres) -> Iterator[str]:
    """The database of the portal: on the server that is stopped."""
    with new_database(server.url("postgres")) as url:
        yield url


@pytest.fixture(scope="module")
def admin(portal: Instance) -> Person:
    """The administrator, logged in."""
    return portal.person()


@contextmanager
def lost(server: PrivatePostgres) -> Iterator[Callable[[], bool]]:
    """Have the database server crash, and start it again at the end; yields whether it was away for long enough."""
    began = time.monotonic()
    server.stop(Stop.IMMEDIATE)
    try:
        yield lambda: time.monotonic() - began >= OUTAGE
    finally:
        server.start()
        connection.close()


@pytest.mark.behaviour(25, 30)
def test_a_guest_that_goes_down_while_the_database_is_lost_is_started_exactly_once(
    portal: Instance, admin: Person, fake_host: FakeDaemon, server: PrivatePostgres
) -> None:
    uuid = fake_host.control.define("waiting", Temper(slow=4))
    fake_host.control.define("refused", OBEDIENT)
    machine, other = vm("waiting"), vm("refused")
    prober = Browser(portal.url)
    processes = {name: portal.pid(name) for name in PROCESSES}
    operation = admin.act("reboot", machine, graceful_delay=60)
    wait_step(operation.pk, "ask_agent", ok=True)

    with lost(server) as long_enough:
        asked = 0
        while not long_enough():
            # Pages and requests alike fail at once, in words, and with nothing half done.
            for answer in (admin.get("/"), admin.get("/login/"), admin.try_to("reboot", other)):
                assert answer.status == 503, answer.body
                assert "The database does not answer" in answer.body
            assert prober.get("/healthz").status == 200
            assert prober.get("/readyz").status == 503
            asked += 1
        assert asked > 1
        assert fake_host.control.log(uuid, names=["went_down"]), "the guest went down meanwhile"
        assert not fake_host.control.log(uuid, names=["start"], call=True)

    done = ended(operation.pk, SOON)
    assert done.outcome == Outcome.CLEAN_AGENT, (done.failure, messages(machine))
    wait_status(machine, "up", SOON)
    log = fake_host.control.log(uuid, names=["ask_agent", "start", "destroy"], call=True)
    assert [entry.name for entry in log] == ["ask_agent", "start"]
    assert {name: portal.pid(name) for name in PROCESSES} == processes, "no process had to be started again"

    assert not Operation.objects.filter(vm=other).exists(), "what was refused was not done"
    assert ended(admin.act("reboot", other).pk).outcome == Outcome.CLEAN_AGENT


@pytest.mark.behaviour(25, 30)
@pytest.mark.parametrize("call", ["destroy", "start"])
def test_a_call_whose_answer_could_not_be_written_down_is_not_made_again(
    portal: Instance, admin: Person, fake_host: FakeDaemon, server: PrivatePostgres, call: str
) -> None:
    uuid = fake_host.control.define(f"calling-{call}", STUBBORN)
    machine = vm(f"calling-{call}")
    fake_host.control.hold(uuid, call)
    operation = admin.act("power_cycle", machine)
    fake_host.control.wait_held(uuid, call)

    with lost(server) as long_enough:
        fake_host.control.release(uuid, call)
        wait_until(lambda: fake_host.control.log(uuid, names=[call], call=True), "the call was carried out")
        wait_until(long_enough, "the database was away for long enough", 2 * OUTAGE)

    done = ended(operation.pk, SOON)
    assert done.outcome == Outcome.FORCED, (done.failure, messages(machine))
    wait_status(machine, "up", SOON)
    log = fake_host.control.log(uuid, names=["start", "destroy"], call=True)
    assert [entry.name for entry in log] == ["destroy", "start"]

"""Several workers at once, on wakes that are doubled, late and out of order."""

from __future__ import annotations

import random
import threading
from uuid import UUID

import pytest
from django.db import connections as databases

from tests.engine.harness import Engine
from tests.support.waiting import wait_until
from vms import actions
from vms.domain.operation import Outcome
from vms.domain.power import VmStatus
from vms.engine.advance import advance
from vms.hypervisor.fake import ACPI_ONLY, OBEDIENT, STUBBORN, Temper
from vms.models import Operation, VirtualMachine

TEMPERS = [(OBEDIENT, 20), (ACPI_ONLY, 20), (STUBBORN, 2), (Temper(slow=0.5), 20)]


@pytest.mark.behaviour(26)
def test_wakes_doubled_and_out_of_order_start_every_vm_exactly_once(engine: Engine) -> None:
    count = 20
    chance = random.Random(20)  # the same disorder in every run
    choice = [TEMPERS[number % len(TEMPERS)] for number in range(count)]
    vms = engine.define_all([temper for temper, _ in choice])
    operations = [
        actions.reboot(engine.admin, vm, force=True, delay=delay) for vm, (_, delay) in zip(vms, choice, strict=True)
    ]
    ended = threading.Event()
    errors: list[BaseException] = []
    guard = threading.Lock()

    def next_wakes() -> list[UUID]:
        """Take what waits, in any order, most of it twice."""
        wakes = []
        while not engine.wakes.empty():
            wakes.append(engine.wakes.get())
        wakes += [wake for wake in wakes if chance.random() < 0.7]
        chance.shuffle(wakes)
        return wakes

    def work() -> None:
        try:
            while not ended.is_set():
                with guard:
                    wakes = next_wakes()
                for vm_id in wakes or [chance.choice(vms).pk]:
                    advance(vm_id)
        except BaseException as error:  # noqa: BLE001 - the test's thread raises it
            errors.append(error)
        finally:
            databases.close_all()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        wait_until(lambda: errors or all_ended(engine), "all have ended", timeout=90, interval=0.2)
    finally:
        ended.set()
        for worker in workers:
            worker.join(30)
    assert errors == []

    for vm, operation, (temper, _) in zip(vms, operations, choice, strict=True):
        operation.refresh_from_db()
        assert operation.succeeded, vm
        assert (operation.outcome == Outcome.FORCED) is (temper is STUBBORN), vm
        calls = engine.calls(vm)
        assert calls.count("start") == 1, (vm, calls)
        assert calls.count("destroy") == (1 if temper is STUBBORN else 0), (vm, calls)
        assert calls.count("ask_agent") <= 1, (vm, calls)
        assert engine.status(vm) == VmStatus.UP, vm
    assert not VirtualMachine.objects.exclude(lease_owner="").exists()


def all_ended(engine: Engine) -> bool:
    """Do what beat and watcher do, and say whether all operations have ended."""
    engine.collect()
    return not Operation.objects.exclude(stage="ended").exists()

"""Many reboots at once: nobody waits on a guest, so a thousand waiting reboots cost a thousand rows."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.acceptance.instance import Instance, ended, vm
from tests.support.fake import FakeDaemon
from tests.support.waiting import wait_until
from vms.domain.operation import Outcome, Stage
from vms.hypervisor.fake import OBEDIENT, STUBBORN
from vms.models import Operation, VirtualMachine

FLEET = 300
DELAY = 20
LATEST = 15
#: The most that one request may act on.
IN_ONE_REQUEST = 100


@pytest.mark.alone
def test_three_hundred_stubborn_vms_are_rebooted_at_once_by_one_worker(
    portal: Instance, fake_host: FakeDaemon, record_property: Callable[[str, object], None]
) -> None:
    fake_host.control.define_many(FLEET, "fleet-", STUBBORN)
    fake_host.control.define("other", OBEDIENT)
    admin = portal.person()
    other = vm("other")
    fleet = VirtualMachine.objects.filter(name__startswith="fleet-")
    wait_until(lambda: fleet.filter(status="up").count() == FLEET, "the fleet is known", 30)

    ids = list(fleet.values_list("pk", flat=True))
    began = time.monotonic()
    for first in range(0, FLEET, IN_ONE_REQUEST):
        chosen = ids[first : first + IN_ONE_REQUEST]
        answer = admin.post("/vms/reboot/", vm=chosen, force="yes", graceful_delay=DELAY)
        assert answer.status == 200, answer.body[:1000]
    operations = Operation.objects.filter(vm__in=fleet)
    assert operations.count() == FLEET
    wait_until(lambda: not operations.filter(stage=Stage.ACCEPTED).exists(), "all were asked", DELAY, 0.2)
    asked_after = time.monotonic() - began

    one = admin.act("reboot", other)
    asked = fake_host.control.wait_log(str(other.uuid), "ask_agent")
    assert asked.at - one.created_at.timestamp() < 1
    assert ended(one.pk).outcome == Outcome.CLEAN_AGENT

    wait_until(lambda: not operations.exclude(stage=Stage.ENDED).exists(), "all have ended", DELAY + 60, 0.2)
    took = time.monotonic() - began
    told = f"{FLEET} reboots: all asked after {asked_after:.1f} s, all done after {took:.1f} s (delay {DELAY} s)"
    record_property("figure", told)
    assert set(operations.values_list("outcome", flat=True)) == {Outcome.FORCED}
    counts = {name: len(fake_host.control.log(names=[name], call=True, effect=True)) for name in ("destroy", "start")}
    assert counts == {"destroy": FLEET, "start": FLEET + 1}
    assert took < DELAY + LATEST, told

"""One id from the request to the last log line, and what the record of an operation keeps, through real processes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.acceptance.instance import Instance, Person, ended, vm, wait_status
from tests.support.fake import FakeDaemon
from vms.domain.observation import Proof
from vms.domain.operation import Outcome
from vms.hypervisor import png
from vms.hypervisor.fake import STUBBORN
from vms.models import Event


@pytest.fixture(scope="module")
def admin(portal: Instance) -> Person:
    """The administrator, logged in."""
    return portal.person()


def lines(portal: Instance, process: str, correlation_id: str) -> list[dict[str, Any]]:
    """Return the log lines of a process that carry an id."""
    return [
        line
        for line in (json.loads(text) for text in portal.log(process).splitlines() if text.startswith("{"))
        if line.get("correlation_id") == correlation_id
    ]


@pytest.mark.behaviour(31, 32, 35)
def test_one_id_is_followed_from_the_request_to_the_return(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    # Its agent takes a while, so that the operation still runs when the watcher hears of the start.
    fake_host.control.define("followed", replace(STUBBORN, agent_late=2))
    fake_host.control.define("beside", STUBBORN)
    machine, other = vm("followed"), vm("beside")
    wait_status(machine, "up")
    operation = admin.act("reboot", machine, force="yes", graceful_delay=2, reason="follow me")
    beside = admin.act("shut_down", other, force="yes", graceful_delay=2)
    done, beside = ended(operation.pk), ended(beside.pk)
    assert done.outcome == Outcome.FORCED
    assert done.correlation_id != beside.correlation_id

    web, worker, watcher = (lines(portal, name, done.correlation_id) for name in ("web", "worker", "watcher"))
    assert [line["request"] for line in web if line["event"] == "request_finished"] == ["POST /vms/reboot/"]
    asked = [line["call"] for line in worker if line["event"] == "asking the host"]
    # On a busy machine the end of so short a delay may come before the button's turn.
    assert [call for call in asked if call != "press_button"] == [
        "prepare", "ask_agent", "screenshot", "destroy", "start",
    ]  # fmt: skip
    assert {"stopped", "started"} <= {line.get("told") for line in watcher}
    about = {line["operation"] for line in (*web, *worker, *watcher) if line.get("operation")}
    assert about == {str(done.pk)}

    events = Event.objects.filter(correlation_id=done.correlation_id)
    assert {event.operation_id for event in events} == {done.pk}
    page = admin.get(f"/events/?correlation_id={done.correlation_id}").body
    assert "Reboot of followed is complete: Forced. Its guest agent is connected" in page
    assert "beside" not in page.split('id="event_table"')[1]


@pytest.mark.behaviour(31, 35)
def test_the_record_of_a_forced_reboot_has_its_screen_and_its_proof(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    fake_host.control.define("recorded", STUBBORN)
    done = ended(admin.act("reboot", vm("recorded"), force="yes", graceful_delay=1).pk)
    assert png.measure(bytes(done.screen.png)) == (320, 200)
    assert done.known_by is Proof.AGENT
    page = admin.get(done.get_absolute_url()).body
    assert "Screen just before the power-off" in page
    assert "Its guest agent is connected" in page


@pytest.mark.behaviour(31)
def test_a_worker_that_dies_over_the_picture_powers_the_vm_off_once(
    portal: Instance, admin: Person, fake_host: FakeDaemon
) -> None:
    uuid = fake_host.control.define("killed-picturing", STUBBORN)
    fake_host.control.hold(uuid, "screenshot")
    operation = admin.act("power_off", vm("killed-picturing"))
    fake_host.control.wait_held(uuid, "screenshot")
    portal.kill("worker")
    done = ended(operation.pk)
    fake_host.control.release(uuid, "screenshot")
    assert done.outcome == Outcome.FORCED
    assert [entry.name for entry in fake_host.control.log(uuid, names=["destroy"], call=True)] == ["destroy"]
    assert [step.kind for step in done.steps.order_by("number")] == ["prepare", "screenshot", "destroy"]

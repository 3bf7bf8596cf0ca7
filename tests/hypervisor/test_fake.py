"""The fake host itself: tempers, calls held in flight, faults, its log, and its death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.fake import FakeDaemon
from tests.support.pictures import colours
from tests.support.waiting import wait_until
from vms.domain.observation import DomainState, DownReason, Job
from vms.hypervisor.base import (
    AgentUnavailable,
    DomainEvent,
    DomainNotFound,
    EventKind,
    HostUnreachable,
    HypervisorError,
)
from vms.hypervisor.fake import STUBBORN, Agent, FakeHypervisor, Reaction, Temper
from vms.hypervisor.fake.temper import ANSWER_LIMIT


@pytest.fixture
def host(fake: FakeDaemon) -> Iterator[FakeHypervisor]:
    hypervisor = fake.connect()
    yield hypervisor
    hypervisor.close()


def _in_thread(call: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_the_first_request_starts_the_countdown_and_repeats_do_not(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("slow", Temper(slow=0.4))
    host.ask_agent(vm)
    host.press_button(vm)
    host.ask_agent(vm)
    asks = fake.control.log(vm, names=["ask_agent", "press_button"])
    down = fake.control.wait_log(vm, "went_down", detail="guest")
    assert [(entry.name, entry.effect) for entry in asks] == [
        ("ask_agent", True),
        ("press_button", False),
        ("ask_agent", False),
    ]
    # The log's line is written a little after the guest heard.
    assert down.at - asks[0].at == pytest.approx(0.4, abs=0.05)


def test_a_booting_guest_hears_nothing(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("booting", Temper(boot=0.3))
    host.press_button(vm)
    with pytest.raises(AgentUnavailable):
        host.ask_agent(vm)
    fake.control.wait_log(vm, "agent_connected")
    host.press_button(vm)
    fake.control.wait_log(vm, "went_down")
    assert [entry.effect for entry in fake.control.log(vm, names=["press_button"])] == [False, True]


@pytest.mark.parametrize("agent", [Agent.REFUSES, Agent.OFF, Agent.NONE])
def test_an_agent_that_does_not_take_requests(fake: FakeDaemon, host: FakeHypervisor, agent: Agent) -> None:
    vm = fake.control.define("vm", Temper(agent=agent))
    seen = host.observe(vm).seen
    assert (seen.agent_channel, seen.agent_connected) == (agent is not Agent.NONE, agent is Agent.REFUSES)
    with pytest.raises(AgentUnavailable):
        host.ask_agent(vm)


def test_a_guest_may_halt_when_told_to_restart(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm", Temper(told_to_reboot=Reaction.HALT))
    host.ask_agent(vm, reboot=True)
    assert fake.control.wait_log(vm, "went_down").by == "guest"


def test_a_reset_forgets_the_request_and_keeps_the_run(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm", Temper(told_to_halt=Reaction.REBOOT))
    host.prepare(vm, "token", end_on_reset=False)
    host.ask_agent(vm)
    reset = fake.control.wait_log(vm, "reset")
    fake.control.wait_log(vm, "agent_connected", after=reset.seq)
    assert host.observe(vm).seen.run_token == "token"
    assert fake.control.inside(vm)["run"]["acts_at"] is None


def test_an_agent_that_drops_takes_one_request_and_is_gone_until_the_next_boot(
    fake: FakeDaemon, host: FakeHypervisor
) -> None:
    vm = fake.control.define("vm", Temper(agent=Agent.DROPS))
    host.ask_agent(vm)
    assert not host.observe(vm).seen.agent_connected
    with pytest.raises(AgentUnavailable):
        host.ask_agent(vm)
    assert host.observe(vm).seen.state is DomainState.RUNNING
    fake.control.hand(vm, "guest_reboot")
    assert host.observe(vm).seen.agent_connected


def test_an_agent_that_answers_too_late_obeys_all_the_same(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm", Temper(agent_answers=ANSWER_LIMIT + 0.4))
    before = time.monotonic()
    with pytest.raises(AgentUnavailable, match="did not answer"):
        host.ask_agent(vm)
    assert time.monotonic() - before >= ANSWER_LIMIT
    assert host.observe(vm).seen.state is DomainState.RUNNING
    assert fake.control.wait_log(vm, "went_down").by == "guest"


def test_a_guest_may_lose_its_first_presses(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm", Temper(lost_presses=3))
    for _ in range(4):
        host.press_button(vm)
    fake.control.wait_log(vm, "went_down")
    assert [entry.effect for entry in fake.control.log(vm, names=["press_button"])] == [False, False, False, True]


@pytest.mark.parametrize("on_crash", ["destroy", "preserve"])
def test_a_guest_that_panics_is_down_or_preserved(fake: FakeDaemon, host: FakeHypervisor, on_crash: str) -> None:
    vm = fake.control.define("vm", Temper(told_to_halt=Reaction.PANIC), on_crash=on_crash)
    host.prepare(vm, "token", end_on_reset=True)
    host.ask_agent(vm)
    if on_crash == "destroy":
        assert fake.control.wait_log(vm, "went_down").detail == DownReason.CRASHED
    else:
        fake.control.wait_log(vm, "crashed")
        seen = host.observe(vm).seen
        assert (seen.state, seen.crashed, seen.run_token) == (DomainState.PAUSED, True, "token")
        host.destroy(vm, "token")
        host.start(vm)
        assert not host.observe(vm).seen.crashed


def test_a_guest_may_hang_or_panic_as_it_boots(fake: FakeDaemon, host: FakeHypervisor) -> None:
    hangs = fake.control.define("hangs", Temper(hangs=True))
    host.press_button(hangs)
    seen = host.observe(hangs).seen
    assert (seen.state, seen.agent_channel, seen.agent_connected) == (DomainState.RUNNING, True, False)
    panics = fake.control.define("panics", Temper(boot=0.2, panics=True))
    assert host.observe(panics).seen.state is DomainState.RUNNING
    assert fake.control.wait_log(panics, "went_down").detail == DownReason.CRASHED


def test_a_save_takes_its_time(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm", Temper(save=0.3))
    host.save(vm)
    assert host.observe(vm).seen.job is Job.SAVING
    fake.control.wait_log(vm, "went_down", detail="saved")
    assert host.observe(vm).seen.managed_save


def test_a_call_held_before_its_effect_has_none_until_it_is_released(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm", running=False)
    fake.control.hold(vm, "start")
    starting = _in_thread(lambda: host.start(vm))
    fake.control.wait_held(vm, "start")
    assert host.observe(vm).seen.down
    host.destroy(vm, None)
    assert fake.control.release(vm, "start") == 1
    starting.join()
    assert not host.observe(vm).seen.down
    assert [(e.name, e.effect) for e in fake.control.log(vm, call=True)] == [("destroy", False), ("start", True)]


def test_a_call_held_after_its_effect_has_had_it(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm")
    fake.control.hold(vm, "destroy", when="after")
    destroying = _in_thread(lambda: host.destroy(vm, None))
    fake.control.wait_held(vm, "destroy")
    assert host.observe(vm).seen.down
    assert destroying.is_alive()
    fake.control.release(vm, "destroy")
    destroying.join()


def test_a_held_call_takes_effect_although_its_client_is_gone(fake: FakeDaemon) -> None:
    vm = fake.control.define("vm", running=False)
    fake.control.hold(vm, "start")
    client = fake.connect()
    errors: list[Exception] = []

    def start() -> None:
        try:
            client.start(vm)
        except HostUnreachable as error:
            errors.append(error)

    starting = _in_thread(start)
    fake.control.wait_held(vm, "start")
    client.close()
    starting.join()
    assert len(errors) == 1
    fake.control.release(vm, "start")
    fake.control.wait_log(vm, "came_up", by="driver")


def test_waiting_for_a_call_that_is_not_held_fails(fake: FakeDaemon) -> None:
    vm = fake.control.define("vm")
    fake.control.hold(vm, "start")
    with pytest.raises(TimeoutError):
        fake.control.wait_held(vm, "start", timeout=0.05)


def test_calls_fail_as_often_as_ordered(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm", running=False)
    fake.control.fail(vm, "start", times=2, text="no space left on device")
    for _ in range(2):
        with pytest.raises(HypervisorError, match="no space left on device"):
            host.start(vm)
    host.start(vm)
    log = fake.control.log(vm, names=["start"])
    assert [(entry.effect, entry.detail) for entry in log] == [
        (False, "no space left on device"),
        (False, "no space left on device"),
        (True, ""),
    ]
    assert {entry.pid for entry in log} == {os.getpid()}


def test_calls_take_as_long_as_ordered(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm")
    fake.control.latency(0.2, vm, "observe")
    before = time.monotonic()
    host.observe(vm)
    assert time.monotonic() - before >= 0.2


def test_a_host_that_is_away_cuts_and_refuses_connections(fake: FakeDaemon, host: FakeHypervisor) -> None:
    reasons: list[str] = []
    host.watch(lambda event: None, reasons.append)
    fake.control.refuse_connections()
    wait_until(lambda: reasons, "the loss is told")
    assert not host.alive
    with pytest.raises(HostUnreachable):
        host.domains()
    with pytest.raises(HostUnreachable):
        fake.connect()
    fake.control.refuse_connections(False)
    fake.connect().close()


def test_a_host_that_hangs_is_given_up(fake: FakeDaemon) -> None:
    host = fake.connect(keepalive=0.3)
    vm = fake.control.define("vm")
    reasons: list[str] = []
    host.watch(lambda event: None, reasons.append)
    fake.control.hang()
    with pytest.raises(HostUnreachable, match="does not answer"):
        host.destroy(vm, None)
    wait_until(lambda: reasons, "the loss is told")
    # It comes to, and carries out what it was told.
    fake.control.hang(False)
    fake.control.wait_log(vm, "destroy", effect=True)


def test_other_hands_are_told_apart(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm")
    fake.control.hand(vm, "destroy")
    host.start(vm)
    fake.control.hand(vm, "crash")
    assert host.observe(vm).seen.down_reason is DownReason.CRASHED
    fake.control.hand(vm, "start")
    fake.control.hand(vm, "guest_halt")
    ups_and_downs = fake.control.log(vm, names=["came_up", "went_down"])
    assert [(entry.name, entry.by, entry.run) for entry in ups_and_downs] == [
        ("came_up", "other", 1),
        ("went_down", "other", 1),
        ("came_up", "driver", 2),
        ("went_down", "guest", 2),
        ("came_up", "other", 3),
        ("went_down", "guest", 3),
    ]


def test_a_guest_sleeps_and_is_woken(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm")
    fake.control.hand(vm, "guest_sleep")
    assert host.observe(vm).seen.state is DomainState.SLEEPING
    host.resume(vm)
    assert host.observe(vm).seen.state is DomainState.RUNNING


def test_the_screen_shows_who_it_is_and_in_what_state(fake: FakeDaemon, host: FakeHypervisor) -> None:
    one, other = fake.control.define("one"), fake.control.define("other")
    running = host.screenshot(one)
    assert host.screenshot(one) == running
    assert host.screenshot(other) != running
    assert len(colours(running)) == 2, "letters on a ground"
    fake.control.hand(one, "suspend")
    assert host.screenshot(one) != running
    fake.control.hand(one, "resume")
    fake.control.hand(one, "agent_disconnect")
    assert host.screenshot(one) != running


def test_runs_survive_the_daemon_and_go_on_without_it(fake: FakeDaemon) -> None:
    stays = fake.control.define("stays", STUBBORN)
    goes = fake.control.define("goes", Temper(slow=0.3))
    host = fake.connect()
    host.prepare(stays, "token", end_on_reset=True)
    host.ask_agent(goes)
    asked = fake.control.log(goes, names=["ask_agent"])[0]
    fake.kill()
    with pytest.raises(HostUnreachable):
        host.observe(stays)
    with pytest.raises(HostUnreachable):
        fake.connect()
    wait_until(lambda: time.time() > asked.at + 0.3, "the guest has gone down unseen")
    fake.start()
    host = fake.connect()
    seen = host.observe(stays).seen
    assert (seen.state, seen.run_token, seen.reset_ends_run) == (DomainState.RUNNING, "token", True)
    down = fake.control.log(goes, names=["went_down"])
    assert [(entry.detail, round(entry.at - asked.at, 2)) for entry in down] == [("guest", 0.3)]
    host.close()


def test_the_log_is_written_as_lines_too(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm")
    host.destroy(vm, None)
    lines = [json.loads(line) for line in fake.log_file.read_text().splitlines()]
    assert [(line["name"], line["seq"]) for line in lines] == [(e.name, e.seq) for e in fake.control.log()]
    assert fake.control.log(vm, after=lines[-1]["seq"]) == []


def test_a_second_daemon_on_the_same_socket_refuses_to_start(fake: FakeDaemon, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vms.hypervisor.fake", "--socket", str(fake.socket)]
    second = subprocess.run(
        [*command, "--state", str(tmp_path / "other")], capture_output=True, text=True, timeout=30, check=False
    )
    assert (second.returncode, second.stdout) == (1, "")
    assert "already serves" in second.stderr
    fake.connect().close()


def test_a_handler_that_calls_the_host_is_told_it_must_not(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm")
    errors: list[Exception] = []

    def handler(event: DomainEvent) -> None:
        try:
            host.observe(vm)
        except RuntimeError as error:
            errors.append(error)

    host.watch(handler, lambda reason: None)
    fake.control.hand(vm, "suspend")
    wait_until(lambda: errors, "the handler was told")


@pytest.mark.alone
def test_a_fleet_is_listed_and_cycled_quickly(fake: FakeDaemon, host: FakeHypervisor) -> None:
    """The figures are ten times what an idle machine needs, to hold on a busy one."""
    vms = fake.control.define_many(10_000, "vm-", Temper(slow=3600))
    before = time.monotonic()
    assert len(host.domains()) == 10_000
    assert time.monotonic() - before < 2.0
    events: list[DomainEvent] = []
    watch = host.watch(events.append, lambda reason: None)
    before = time.monotonic()

    def cycle(vm: str) -> None:
        host.destroy(vm, None)
        host.start(vm)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(cycle, vms[:300]))
    assert time.monotonic() - before < 4.0
    wait_until(lambda: sum(event.kind is EventKind.STARTED for event in events) == 300, "every start was heard")
    watch.close()


def test_counts_looks_which_the_log_leaves_out(fake: FakeDaemon, host: FakeHypervisor) -> None:
    vm = fake.control.define("vm")
    host.observe(vm)
    host.domains()
    with pytest.raises(DomainNotFound):
        host.observe("no such thing")
    assert fake.control.counts() == {"observe": 2, "domains": 1}
    assert fake.control.log(vm, call=True) == []
    assert fake.control.clients() == [os.getpid()]


def test_a_stopped_daemon_is_noticed(fake: FakeDaemon) -> None:
    host = fake.connect(keepalive=0.3)
    os.kill(fake.pid, signal.SIGSTOP)
    with pytest.raises(HostUnreachable):
        host.domains()
    os.kill(fake.pid, signal.SIGCONT)

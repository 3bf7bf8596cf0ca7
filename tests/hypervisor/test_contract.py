"""The contract that every driver keeps: one suite, run against each. A driver's capabilities select its cases."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from unittest import mock

import pytest

from tests.hypervisor.rigs import (
    CAPABILITIES,
    FakeRig,
    LibvirtRig,
    QemuRig,
    Rig,
    SimulatedRig,
    running,
    up,
    wait_down,
    wait_seen,
)
from tests.support.fake import FakeDaemon
from tests.support.waiting import wait_until
from vms.domain.observation import DomainState, DownReason, Job
from vms.hypervisor import png
from vms.hypervisor.base import (
    SCREEN_LIMIT,
    AgentUnavailable,
    Capability,
    DomainEvent,
    DomainNotFound,
    EventKind,
    HypervisorError,
    RunChanged,
)
from vms.hypervisor.libvirt_driver import driver


@pytest.fixture(scope="module")
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    match request.param:
        case "fake":
            daemon = FakeDaemon(tmp_path_factory.mktemp("fake"))
            daemon.start()
            made: Rig = FakeRig(daemon)
            yield made
            made.close()
            daemon.close()
        case "test":
            made = SimulatedRig()
            yield made
            made.close()
        case "qemu":
            made = QemuRig(
                request.getfixturevalue("libvirtd"),
                request.getfixturevalue("guest_image"),
                request.getfixturevalue("emulator_type"),
            )
            # What it does is tested here, not how soon: all guests are emulated by the processors the tests run on.
            with mock.patch.object(driver, "MONITOR_LIMIT", 30.0):
                yield made
            made.close()


@pytest.fixture
def rig(host: Rig) -> Iterator[Rig]:
    """The host, without domains of other tests: real guests would take each other's time."""
    if isinstance(host, LibvirtRig) and not host.hypervisor.alive:
        host.reconnect()  # the test that lost its connection is the only one that fails for it
    yield host
    host.clear()


def contract(
    needs: Capability = Capability.NONE, *, lacks: Capability = Capability.NONE
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a case against every driver that has what it needs, and has not what it is about to lack."""
    drivers = [
        pytest.param(name, marks=pytest.mark.guest if name == "qemu" else ())
        for name, has in CAPABILITIES.items()
        if needs in has and not lacks & has
    ]
    return pytest.mark.parametrize("host", drivers, indirect=True)


@contract()
def test_declares_its_capabilities(rig: Rig, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["host"]
    assert rig.hypervisor.capabilities == CAPABILITIES[name]
    assert rig.hypervisor.alive


@contract()
def test_says_what_it_is(rig: Rig) -> None:
    info = rig.hypervisor.info()
    assert info.hostname
    assert info.hypervisor
    assert info.version


@contract()
def test_shows_a_domain_that_was_never_started(rig: Rig) -> None:
    domain = rig.define("acpi")
    found = rig.hypervisor.observe(domain)
    assert (found.uuid, found.description, found.memory, found.vcpus) == (domain, "A acpi guest", 128 << 20, 1)
    assert found.name.startswith(("acpi-", "demo-acpi-"))
    seen = found.seen
    assert seen.state is DomainState.DOWN
    assert seen.run_token is None
    assert seen.persistent
    assert seen.acpi
    assert not any((seen.managed_save, seen.agent_channel, seen.agent_connected, seen.reset_ends_run))


@contract()
def test_lists_every_domain_as_it_shows_each(rig: Rig) -> None:
    expected = {rig.define("acpi"), running(rig, "acpi")}
    listed = {domain.uuid: domain for domain in rig.hypervisor.domains()}
    assert expected <= set(listed)
    for domain in expected:
        assert listed[domain] == rig.hypervisor.observe(domain)


@contract()
@pytest.mark.parametrize(
    "call",
    [
        lambda h, domain: h.observe(domain),
        lambda h, domain: h.prepare(domain, "t", end_on_reset=True),
        lambda h, domain: h.relent(domain),
        lambda h, domain: h.press_button(domain),
        lambda h, domain: h.destroy(domain, None),
        lambda h, domain: h.destroy(domain, "t"),
        lambda h, domain: h.start(domain),
        lambda h, domain: h.save(domain),
        lambda h, domain: h.resume(domain),
        lambda h, domain: h.discard_memory(domain),
        lambda h, domain: h.screenshot(domain),
    ],
)
def test_says_so_when_there_is_no_such_domain(rig: Rig, call: Callable[..., object]) -> None:
    with pytest.raises(DomainNotFound):
        call(rig.hypervisor, str(uuid.uuid4()))


@contract()
def test_starts_a_domain_and_has_nothing_to_do_the_second_time(rig: Rig) -> None:
    domain = rig.define("acpi")
    rig.hypervisor.start(domain)
    assert rig.hypervisor.observe(domain).seen.state is DomainState.RUNNING
    token = rig.hypervisor.prepare(domain, "first", end_on_reset=False)
    rig.hypervisor.start(domain)
    assert rig.hypervisor.observe(domain).seen.run_token == token


@contract()
def test_destroys_a_domain_and_has_nothing_to_do_the_second_time(rig: Rig) -> None:
    domain = running(rig, "acpi")
    rig.hypervisor.destroy(domain, None)
    seen = rig.hypervisor.observe(domain).seen
    assert (seen.state, seen.down_reason) == (DomainState.DOWN, DownReason.DESTROYED)
    rig.hypervisor.destroy(domain, None)
    rig.hypervisor.destroy(domain, "a run that is over")


@contract()
def test_marks_a_run_which_keeps_its_first_token_and_takes_it_along(rig: Rig) -> None:
    domain = running(rig, "acpi")
    assert rig.hypervisor.prepare(domain, "first", end_on_reset=False) == "first"
    assert rig.hypervisor.prepare(domain, "second", end_on_reset=True) == "first"
    assert rig.hypervisor.observe(domain).seen.run_token == "first"
    rig.hand(domain, "destroy")
    assert rig.hypervisor.observe(domain).seen.run_token is None
    rig.hand(domain, "start")
    assert rig.hypervisor.observe(domain).seen.run_token is None


@contract()
def test_marks_nothing_when_nothing_runs(rig: Rig) -> None:
    with pytest.raises(RunChanged):
        rig.hypervisor.prepare(rig.define("acpi"), "token", end_on_reset=True)


@contract()
def test_destroys_only_the_run_it_was_told(rig: Rig) -> None:
    domain = running(rig, "acpi")
    rig.hypervisor.prepare(domain, "old", end_on_reset=False)
    rig.hand(domain, "destroy")
    rig.hand(domain, "start")
    with pytest.raises(RunChanged):
        rig.hypervisor.destroy(domain, "old")
    assert rig.hypervisor.observe(domain).seen.state is DomainState.RUNNING
    rig.hypervisor.prepare(domain, "new", end_on_reset=False)
    rig.hypervisor.destroy(domain, "new")
    assert rig.hypervisor.observe(domain).seen.down


@contract(Capability.RESET_ENDS_RUN)
def test_arms_and_disarms_the_end_on_a_reset(rig: Rig) -> None:
    domain = running(rig, "acpi")
    assert not rig.hypervisor.observe(domain).seen.reset_ends_run
    rig.hypervisor.prepare(domain, "token", end_on_reset=True)
    assert rig.hypervisor.observe(domain).seen.reset_ends_run
    rig.hypervisor.relent(domain)
    seen = rig.hypervisor.observe(domain).seen
    assert not seen.reset_ends_run
    assert seen.run_token == "token"


@contract()
def test_has_nothing_to_disarm_when_nothing_runs(rig: Rig) -> None:
    rig.hypervisor.relent(rig.define("acpi"))


@contract(lacks=Capability.DISOBEDIENCE)
def test_a_guest_that_always_obeys_is_down_once_its_button_was_pressed(rig: Rig) -> None:
    domain = running(rig, "acpi")
    rig.hypervisor.press_button(domain)
    assert rig.hypervisor.observe(domain).seen.down_reason is DownReason.GUEST


@contract()
def test_pressing_the_button_of_a_domain_that_is_down_fails(rig: Rig) -> None:
    with pytest.raises(HypervisorError):
        rig.hypervisor.press_button(rig.define("acpi"))


@contract(lacks=Capability.AGENT)
def test_without_agents_asking_one_fails(rig: Rig) -> None:
    with pytest.raises(AgentUnavailable):
        rig.hypervisor.ask_agent(running(rig))


@contract(Capability.AGENT)
@pytest.mark.parametrize("kind", ["acpi", "obedient"])
def test_asking_an_agent_that_is_not_there_fails(rig: Rig, kind: str) -> None:
    domain = rig.define(kind)  # type: ignore[arg-type]
    with pytest.raises(AgentUnavailable):
        rig.hypervisor.ask_agent(domain)
    if kind == "acpi":
        rig.hypervisor.start(domain)
        with pytest.raises(AgentUnavailable):
            rig.hypervisor.ask_agent(domain)


@contract(Capability.AGENT)
def test_an_agent_takes_its_guest_down(rig: Rig) -> None:
    domain = up(rig)
    seen = rig.hypervisor.observe(domain).seen
    assert seen.agent_channel
    rig.hypervisor.ask_agent(domain)
    assert wait_down(rig.hypervisor, domain).down_reason is DownReason.GUEST


@contract(Capability.AGENT | Capability.DISOBEDIENCE)
def test_asking_a_slow_guest_takes_no_longer_than_asking(rig: Rig) -> None:
    domain = up(rig, "slow")
    before = time.monotonic()
    rig.hypervisor.ask_agent(domain)
    assert time.monotonic() - before < 3.0
    assert rig.hypervisor.observe(domain).seen.state is DomainState.RUNNING
    # The request is under way: nothing else about the domain waits for it.
    before = time.monotonic()
    rig.hypervisor.prepare(domain, "token", end_on_reset=True)
    rig.hypervisor.press_button(domain)
    assert time.monotonic() - before < 2.0
    assert wait_down(rig.hypervisor, domain).down_reason is DownReason.GUEST


def takes_the_question(rig: Rig, domain: str) -> bool:
    """Ask the agent; on a busy machine an emulated guest may take longer to answer than the portal waits."""
    try:
        rig.hypervisor.ask_agent(domain)
    except AgentUnavailable:
        return False
    return True


@contract(Capability.AGENT | Capability.DISOBEDIENCE)
def test_a_stubborn_guest_takes_every_request_and_stays(rig: Rig) -> None:
    domain = up(rig, "stubborn")
    for _ in range(2):
        wait_until(lambda: takes_the_question(rig, domain), "the agent answers", 60)
        rig.hypervisor.press_button(domain)
    assert rig.hypervisor.observe(domain).seen.state is DomainState.RUNNING
    rig.hypervisor.destroy(domain, None)
    assert rig.hypervisor.observe(domain).seen.down_reason is DownReason.DESTROYED


@contract(Capability.AGENT)
def test_an_agent_restarts_its_guest_in_the_same_run(rig: Rig) -> None:
    domain = up(rig)
    rig.hypervisor.prepare(domain, "token", end_on_reset=False)
    events: list[DomainEvent] = []
    watch = rig.hypervisor.watch(events.append, lambda reason: None)
    try:
        rig.hypervisor.ask_agent(domain, reboot=True)
        wait_until(lambda: any(e.kind is EventKind.RESET and e.uuid == domain for e in events), "the guest resets", 60)
    finally:
        watch.close()
    assert wait_seen(rig.hypervisor, domain, lambda seen: seen.agent_connected).run_token == "token"


@contract(Capability.AGENT | Capability.DISOBEDIENCE | Capability.RESET_ENDS_RUN)
def test_a_guest_that_restarts_when_told_to_halt_ends_all_the_same(rig: Rig) -> None:
    domain = up(rig, "reboots")
    rig.hypervisor.prepare(domain, "token", end_on_reset=True)
    told: list[EventKind] = []
    watch = rig.hypervisor.watch(lambda event: told.append(event.kind), lambda reason: None)
    rig.hypervisor.ask_agent(domain)
    assert wait_down(rig.hypervisor, domain).down_reason is DownReason.GUEST
    wait_until(lambda: EventKind.STOPPED in told, "the end is told")
    watch.close()
    assert EventKind.RESET not in told
    assert told.index(EventKind.FINAL_RESET) < told.index(EventKind.STOPPED)
    rig.hypervisor.start(domain)
    assert not rig.hypervisor.observe(domain).seen.reset_ends_run


@contract(Capability.AGENT)
def test_a_guest_that_shuts_down_is_not_said_to_have_restarted(rig: Rig) -> None:
    domain = up(rig)
    rig.hypervisor.prepare(domain, "token", end_on_reset=True)
    told: list[EventKind] = []
    watch = rig.hypervisor.watch(lambda event: told.append(event.kind), lambda reason: None)
    rig.hypervisor.ask_agent(domain)
    wait_until(lambda: EventKind.STOPPED in told, "the end is told", 60)
    rig.hypervisor.start(domain)
    wait_seen(rig.hypervisor, domain, lambda seen: seen.agent_connected)
    watch.close()
    assert not {EventKind.RESET, EventKind.FINAL_RESET} & set(told)


@contract(Capability.AGENT | Capability.DISOBEDIENCE)
def test_an_agent_that_goes_away_when_it_is_asked_has_taken_the_request(rig: Rig) -> None:
    domain = up(rig, "drops")
    wait_until(lambda: takes_the_question(rig, domain), "the agent answers", 60)
    wait_seen(rig.hypervisor, domain, lambda seen: not seen.agent_connected)
    with pytest.raises(AgentUnavailable):
        rig.hypervisor.ask_agent(domain)
    rig.hypervisor.press_button(domain)
    assert wait_down(rig.hypervisor, domain).down_reason is DownReason.GUEST


@contract(Capability.AGENT | Capability.DISOBEDIENCE)
def test_an_agent_that_answers_too_late_is_given_up_within_five_seconds(rig: Rig) -> None:
    def asked() -> tuple[str, float] | None:
        domain = up(rig, "late")
        before = time.monotonic()
        return None if takes_the_question(rig, domain) else (domain, time.monotonic() - before)

    # A real one stands still a moment after it has connected. One that was asked sooner goes down: another is taken.
    domain, took = wait_until(asked, "the agent answers late", 90)
    assert took < 5.0
    assert rig.hypervisor.observe(domain).seen.agent_connected


@contract(Capability.DISOBEDIENCE)
def test_presses_that_a_guest_loses_are_made_up_for_by_pressing_again(rig: Rig) -> None:
    domain = running(rig, "deaf")
    presses: list[float] = []

    def down() -> bool:
        # A guest takes presses in quick succession for one.
        if not presses or time.monotonic() > presses[-1] + 1.5:
            presses.append(time.monotonic())
            rig.hypervisor.press_button(domain)
        return rig.hypervisor.observe(domain).seen.down

    wait_until(down, "the guest has heard", 90, interval=0.1)
    assert len(presses) >= 4
    assert rig.hypervisor.observe(domain).seen.down_reason is DownReason.GUEST


@contract(Capability.AGENT | Capability.DISOBEDIENCE)
def test_a_guest_that_panics_is_down_and_has_crashed(rig: Rig) -> None:
    domain = up(rig, "panics")
    rig.hypervisor.prepare(domain, "token", end_on_reset=True)
    rig.hypervisor.ask_agent(domain)
    assert wait_down(rig.hypervisor, domain).down_reason is DownReason.CRASHED


@contract(Capability.AGENT | Capability.DISOBEDIENCE)
def test_a_guest_that_panics_may_be_preserved_as_it_was_then(rig: Rig) -> None:
    domain = up(rig, "preserved")
    rig.hypervisor.prepare(domain, "token", end_on_reset=True)
    rig.hypervisor.ask_agent(domain)
    seen = wait_seen(rig.hypervisor, domain, lambda seen: seen.crashed)
    assert (seen.state, seen.run_token) == (DomainState.PAUSED, "token")
    assert next(found.seen for found in rig.hypervisor.domains() if found.uuid == domain).crashed
    rig.hypervisor.destroy(domain, "token")
    rig.hypervisor.start(domain)
    assert not rig.hypervisor.observe(domain).seen.crashed


@contract(Capability.AGENT | Capability.DISOBEDIENCE)
def test_a_guest_that_hangs_as_it_boots_takes_no_request(rig: Rig) -> None:
    domain = running(rig, "hangs")
    rig.hypervisor.press_button(domain)
    with pytest.raises(AgentUnavailable):
        rig.hypervisor.ask_agent(domain)
    seen = rig.hypervisor.observe(domain).seen
    assert (seen.state, seen.agent_channel, seen.agent_connected) == (DomainState.RUNNING, True, False)


@contract(Capability.DISOBEDIENCE)
def test_a_run_that_hangs_cannot_be_marked_but_destroyed(rig: Rig) -> None:
    domain = running(rig, "stubborn")
    rig.freeze(domain)
    with pytest.raises(HypervisorError) as raised:
        rig.hypervisor.prepare(domain, "token", end_on_reset=True)
    assert not isinstance(raised.value, RunChanged)
    assert rig.hypervisor.observe(domain).seen.state is DomainState.RUNNING
    rig.hypervisor.destroy(domain, None)
    assert rig.hypervisor.observe(domain).seen.down


@contract()
def test_lets_a_paused_domain_run_on(rig: Rig) -> None:
    domain = running(rig, "acpi")
    rig.hand(domain, "suspend")
    assert rig.hypervisor.observe(domain).seen.state is DomainState.PAUSED
    rig.hypervisor.resume(domain)
    rig.hypervisor.resume(domain)
    assert rig.hypervisor.observe(domain).seen.state is DomainState.RUNNING


@contract()
def test_cannot_resume_what_does_not_run(rig: Rig) -> None:
    with pytest.raises(HypervisorError):
        rig.hypervisor.resume(rig.define("acpi"))


@contract(Capability.SAVE)
def test_saves_memory_and_restores_it(rig: Rig) -> None:
    domain = running(rig, "acpi")
    rig.hypervisor.save(domain)
    seen = wait_down(rig.hypervisor, domain)
    assert seen.managed_save
    assert seen.down_reason is DownReason.SAVED
    assert next(d for d in rig.hypervisor.domains() if d.uuid == domain).seen.managed_save
    rig.hypervisor.start(domain)
    seen = rig.hypervisor.observe(domain).seen
    assert (seen.state, seen.managed_save, seen.job) == (DomainState.RUNNING, False, Job.NONE)


@contract(Capability.SAVE | Capability.RESET_ENDS_RUN)
def test_a_restored_run_bears_its_old_token_again(rig: Rig) -> None:
    domain = running(rig, "acpi")
    rig.hypervisor.prepare(domain, "token", end_on_reset=True)
    rig.hypervisor.save(domain)
    assert wait_down(rig.hypervisor, domain).run_token is None
    rig.hypervisor.start(domain)
    seen = rig.hypervisor.observe(domain).seen
    assert (seen.run_token, seen.reset_ends_run) == ("token", True)


@contract(Capability.SAVE)
def test_discards_saved_memory_and_has_nothing_to_do_the_second_time(rig: Rig) -> None:
    domain = running(rig, "acpi")
    rig.hypervisor.prepare(domain, "token", end_on_reset=False)
    rig.hypervisor.save(domain)
    wait_seen(rig.hypervisor, domain, lambda seen: seen.down and seen.managed_save)
    rig.hypervisor.discard_memory(domain)
    rig.hypervisor.discard_memory(domain)
    assert not rig.hypervisor.observe(domain).seen.managed_save
    rig.hypervisor.start(domain)
    assert rig.hypervisor.observe(domain).seen.run_token is None


@contract(Capability.SAVE)
def test_saving_what_does_not_run_fails_at_once(rig: Rig) -> None:
    with pytest.raises(HypervisorError):
        rig.hypervisor.save(rig.define("acpi"))


@contract(Capability.SCREENSHOT)
def test_takes_a_picture_of_the_screen(rig: Rig) -> None:
    width, height = png.measure(rig.hypervisor.screenshot(running(rig, "acpi")))
    assert width > 100
    assert height > 100


@pytest.mark.behaviour(31)
@contract(Capability.DISOBEDIENCE)
def test_the_picture_of_a_run_that_hangs_is_given_up_and_does_not_hold_up_its_end(rig: Rig) -> None:
    domain = running(rig, "stubborn")
    rig.freeze(domain)
    before = time.monotonic()
    with pytest.raises(HypervisorError, match="did not answer within 2 s"):
        rig.hypervisor.screenshot(domain)
    assert time.monotonic() - before < SCREEN_LIMIT + 1
    rig.hypervisor.destroy(domain, None)
    assert rig.hypervisor.observe(domain).seen.down


@contract(Capability.DISOBEDIENCE)
def test_takes_no_picture_of_what_does_not_run(rig: Rig) -> None:
    with pytest.raises(HypervisorError):
        rig.hypervisor.screenshot(rig.define("acpi"))


@contract()
def test_tells_what_happens_to_domains_until_the_watch_is_closed(rig: Rig) -> None:
    events: list[DomainEvent] = []
    domain = rig.define("acpi")

    def heard(*kinds: EventKind) -> bool:
        return [event.kind for event in events if event.uuid == domain and event.kind in kinds] == list(kinds)

    watch = rig.hypervisor.watch(events.append, lambda reason: None)
    rig.hand(domain, "start")
    wait_until(lambda: heard(EventKind.STARTED), "the start is heard")
    rig.hand(domain, "suspend")
    wait_until(lambda: any(e.kind is EventKind.CHANGED and e.uuid == domain for e in events), "the pause is heard")
    rig.hand(domain, "destroy")
    wait_until(lambda: heard(EventKind.STARTED, EventKind.STOPPED), "the end is heard")
    rig.hand(domain, "undefine")
    wait_until(lambda: heard(EventKind.STARTED, EventKind.STOPPED, EventKind.UNDEFINED), "the removal is heard")
    assert all(event.at.tzinfo is not None for event in events)
    watch.close()
    watch.close()
    second: list[DomainEvent] = []
    other = rig.hypervisor.watch(second.append, lambda reason: None)
    count = len(events)
    another = rig.define("acpi")
    rig.hand(another, "start")
    wait_until(lambda: any(event.uuid == another for event in second), "a second watch hears")
    other.close()
    assert len(events) == count


@contract(Capability.AGENT)
def test_tells_when_an_agent_connects(rig: Rig) -> None:
    events: list[DomainEvent] = []
    watch = rig.hypervisor.watch(events.append, lambda reason: None)
    domain = running(rig)
    wait_until(lambda: any(e.kind is EventKind.AGENT and e.uuid == domain for e in events), "the agent is heard", 60)
    watch.close()


@contract()
def test_a_domain_undefined_while_it_runs_is_gone_when_it_ends(rig: Rig) -> None:
    domain = running(rig, "acpi")
    rig.hand(domain, "undefine")
    assert not rig.hypervisor.observe(domain).seen.persistent
    rig.hypervisor.destroy(domain, None)
    with pytest.raises(DomainNotFound):
        rig.hypervisor.observe(domain)
    assert domain not in {found.uuid for found in rig.hypervisor.domains()}


@contract()
def test_tells_the_usage_of_what_runs_and_of_nothing_else(rig: Rig) -> None:
    domain, down = running(rig), rig.define("acpi")
    before = rig.hypervisor.usage()
    assert domain in before
    assert down not in before
    after = rig.hypervisor.usage()[domain]
    for name in ("cpu", "disk_read", "net_sent"):
        counted, later = getattr(before[domain], name), getattr(after, name)
        assert (counted is None) == (later is None), name
        assert counted is None or later >= counted >= 0, name


@contract(Capability.AGENT)
def test_tells_how_busy_a_guest_is(rig: Rig) -> None:
    domain = up(rig)
    first = rig.hypervisor.usage()[domain]
    assert first.vcpus == 1
    assert first.memory == 128 << 20
    assert first.memory_used is not None
    assert first.memory_used > 0
    wait_until(lambda: (rig.hypervisor.usage()[domain].cpu or 0) > (first.cpu or 0), "it used some time", interval=0.2)


@contract()
def test_tells_the_stored_definition(rig: Rig) -> None:
    domain = rig.define("acpi")
    text = rig.hypervisor.definition(domain)
    assert f"<uuid>{domain}</uuid>" in text
    assert text.startswith("<domain ")
    with pytest.raises(DomainNotFound):
        rig.hypervisor.definition(str(uuid.uuid4()))


@contract(Capability.AGENT)
def test_an_agent_tells_what_its_guest_is(rig: Rig) -> None:
    told = rig.hypervisor.guest(up(rig))
    assert told.system
    assert "127.0.0.1" not in told.addresses


@contract()
def test_without_an_agent_nobody_tells(rig: Rig) -> None:
    with pytest.raises(AgentUnavailable):
        rig.hypervisor.guest(running(rig, "acpi"))


@contract(Capability.AGENT)
def test_a_guest_that_takes_notice_of_nothing_keeps_nobody_waiting_for_figures(rig: Rig) -> None:
    lively, frozen = up(rig), up(rig)
    rig.freeze(frozen)
    began = time.monotonic()
    # The first call may be the one that waits for the guest; the next one passes it by.
    with suppress(HypervisorError):
        rig.hypervisor.usage()
    assert lively in rig.hypervisor.usage()
    assert time.monotonic() - began < 20

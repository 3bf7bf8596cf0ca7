"""Samples and glimpses, taken of fake hosts: what is written, what is not, and that a host that hangs harms nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from tests.engine.harness import Engine
from tests.support.fake import FakeDaemon
from tests.support.waiting import wait_until
from vms import actions, onlookers, tasks
from vms.domain.usage import LEVELS
from vms.engine import glimpses, sampling
from vms.hypervisor import png
from vms.hypervisor.base import HostUnreachable
from vms.hypervisor.fake import Agent, Temper
from vms.hypervisor.fake.load import Load
from vms.models import Glimpse, Host, Sample, VirtualMachine

Kind = Glimpse.Kind
FINE, MIDDLE, COARSE = (level.every for level in LEVELS)
#: Busy evenly, so that figures can be told beforehand.
EVEN = Load(cpu=0.5, memory=0.25, disk_read=1000.0, disk_written=0.0, net_received=2000.0, net_sent=10.0, wave=0.0)


class Clock:
    """A clock that is set by hand; what guests use goes by the real one."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the sampling."""
    return Clock()


@pytest.fixture
def subject(engine: Engine, clock: Clock) -> sampling.HostSampling:
    """What samples the fake host."""
    return sampling.HostSampling(engine.host, clock)


def sample(subject: sampling.HostSampling, clock: Clock, *seconds: float) -> list[int]:
    """Take samples after so many seconds each, and return how many each time."""
    taken = []
    for each in seconds:
        clock.now += each
        taken.append(subject.take())
    return taken


def test_rates_are_written_of_what_runs(engine: Engine, subject: sampling.HostSampling, clock: Clock) -> None:
    vm = engine.define("web01", load=EVEN.__dict__, vcpus=2, memory=1 << 30)
    engine.define("down01", running=False)
    before = engine.fake.control.usage(str(vm.uuid))
    assert sample(subject, clock, 0, 10) == [0, 1]
    after = engine.fake.control.usage(str(vm.uuid))
    found = Sample.objects.get()
    assert (found.vm, found.resolution, found.memory, found.memory_used) == (vm, FINE, 1 << 30, 1 << 28)
    assert found.cpu is not None
    assert found.disk_read is not None
    # The two readings lie between two of ours.
    assert 0 <= found.cpu * 2 * 10 <= after["cpu"] - before["cpu"]
    assert 0 <= found.disk_read * 10 <= after["disk_read"] - before["disk_read"] + 10
    assert found.disk_written == 0


def test_each_level_has_its_own_samples(engine: Engine, subject: sampling.HostSampling, clock: Clock) -> None:
    engine.define()
    sample(subject, clock, *[10] * 61)
    counted = [Sample.objects.filter(resolution=level.every).count() for level in LEVELS]
    assert counted == [60, 10, 2]


@pytest.mark.parametrize("what", ["restarted", "unknown", "away for a while"])
def test_what_is_not_known_is_not_guessed(
    engine: Engine, subject: sampling.HostSampling, clock: Clock, what: str
) -> None:
    vm = engine.define("web01", load=Load(cpu=1000.0, wave=0.0).__dict__)
    sample(subject, clock, 0, 10)
    match what:
        case "restarted":
            engine.fake.control.hand(str(vm.uuid), "destroy")
            engine.fake.control.set_load(str(vm.uuid), EVEN)
            engine.fake.control.hand(str(vm.uuid), "start")
        case "unknown":
            VirtualMachine.objects.filter(pk=vm.pk).update(removed_at=timezone.now())
        case "away for a while":
            engine.fake.control.hand(str(vm.uuid), "destroy")
            sample(subject, clock, 10)
            engine.fake.control.hand(str(vm.uuid), "start")
    assert sample(subject, clock, 10) == [0]
    assert Sample.objects.count() == 1
    assert not Sample.objects.filter(disk_read__lt=0).exists()


def test_what_could_not_be_written_is_told_of_by_the_next_sample(
    engine: Engine, subject: sampling.HostSampling, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.define()
    sample(subject, clock, 0)
    with monkeypatch.context() as broken:
        broken.setattr(Sample.objects, "bulk_create", _no_room)
        with pytest.raises(OSError, match="no room"):
            sample(subject, clock, 10)
    assert sample(subject, clock, 10) == [1]


def _no_room(*_args: object, **_: object) -> None:
    raise OSError("no room")


def test_samples_go_when_their_level_is_over(engine: Engine) -> None:
    vm = engine.define()
    now = timezone.now()
    kept = []
    for level in LEVELS:
        for age, stays in ((level.kept * 2, False), (level.kept + timedelta(seconds=5), False), (level.kept / 2, True)):
            made = Sample.objects.create(vm=vm, resolution=level.every, at=now - age)
            kept += [made.pk] if stays else []
    assert sampling.thin(timedelta(seconds=20)) == 6
    assert sorted(Sample.objects.values_list("pk", flat=True)) == sorted(kept)


def test_thinning_stops_when_its_time_is_over(engine: Engine) -> None:
    vm = engine.define()
    for hours in range(30, 34):
        Sample.objects.create(vm=vm, resolution=COARSE, at=timezone.now() - timedelta(hours=hours))
    assert sampling.thin(timedelta(0)) == 1
    tasks.forget()
    assert not Sample.objects.exists()


# Glimpses.


@pytest.fixture
def vm(engine: Engine) -> VirtualMachine:
    """A VM that runs."""
    return engine.define()


def glimpse(engine: Engine, vm: VirtualMachine, kind: Glimpse.Kind) -> Glimpse:
    """Look at a VM, have its host asked, and return what it told."""
    actions.look(engine.admin, vm, kind)
    for each in glimpses.waiting():
        glimpses.take(each)
    return Glimpse.objects.get(vm=vm, kind=kind)


def test_a_screen_is_a_picture(engine: Engine, vm: VirtualMachine) -> None:
    found = glimpse(engine, vm, Kind.SCREEN)
    assert png.measure(bytes(found.png)) == (found.width, found.height)
    assert found.taken_at is not None
    assert not list(glimpses.waiting())


def test_the_guest_tells_its_addresses_and_what_it_is(engine: Engine, vm: VirtualMachine) -> None:
    facts = glimpse(engine, vm, Kind.GUEST).facts
    assert facts["system"] == "Fake Linux 1.0"
    assert facts["addresses"][0].startswith("192.0.2.")


def test_the_definition_is_told(engine: Engine, vm: VirtualMachine) -> None:
    assert f"<uuid>{vm.uuid}</uuid>" in glimpse(engine, vm, Kind.DEFINITION).text


def test_a_host_is_asked_once_however_many_look(engine: Engine, vm: VirtualMachine) -> None:
    glimpse(engine, vm, Kind.SCREEN)
    for _ in range(5):
        actions.look(engine.admin, vm, Kind.SCREEN)
    assert not list(glimpses.waiting())
    Glimpse.objects.update(asked_at=timezone.now() - glimpses.EVERY[Kind.SCREEN])
    actions.look(engine.admin, vm, Kind.SCREEN)
    assert len(list(glimpses.waiting())) == 1


def test_an_agent_that_is_to_take_its_guest_down_is_asked_nothing_else(engine: Engine, vm: VirtualMachine) -> None:
    actions.reboot(engine.admin, vm)
    glimpse(engine, vm, Kind.GUEST)
    assert "guest" not in engine.fake.control.counts()


def test_an_agent_that_refuses_is_told_of(engine: Engine) -> None:
    vm = engine.define("rude01", Temper(agent=Agent.REFUSES))
    found = glimpse(engine, vm, Kind.GUEST)
    assert "guest-get-osinfo" in found.error
    assert found.taken_at is None


@pytest.mark.parametrize(
    ("text", "kind", "kept"), [("it broke", "HypervisorError", False), ("away", "HostUnreachable", True)]
)
def test_an_old_picture_is_kept_only_while_its_host_is_away(
    engine: Engine, vm: VirtualMachine, text: str, kind: str, kept: bool
) -> None:
    glimpse(engine, vm, Kind.SCREEN)
    engine.fake.control.fail(str(vm.uuid), "screenshot", text=text, kind=kind)
    Glimpse.objects.update(asked_at=timezone.now() - timedelta(minutes=1))
    found = glimpse(engine, vm, Kind.SCREEN)
    assert found.error == text
    assert bool(found.png) is kept


def test_a_vm_that_is_down_is_asked_for_neither_screen_nor_guest(engine: Engine) -> None:
    vm = engine.define("down01", running=False)
    for kind in (Kind.SCREEN, Kind.GUEST):
        assert actions.look(engine.admin, vm, kind) is None
    assert not Glimpse.objects.exists()


def test_a_screen_needs_the_permission_for_the_console(
    engine: Engine, vm: VirtualMachine, person: Callable[..., User]
) -> None:
    with pytest.raises(PermissionDenied):
        actions.look(person("view_vm"), vm, Kind.SCREEN)
    with pytest.raises(PermissionDenied):
        actions.look(person(name="nobody"), vm, Kind.DEFINITION)


def test_what_nobody_looks_at_any_more_is_forgotten(engine: Engine, vm: VirtualMachine) -> None:
    glimpse(engine, vm, Kind.SCREEN)
    assert glimpses.forget() == 0
    Glimpse.objects.update(asked_at=timezone.now() - glimpses.KEPT)
    tasks.forget()
    assert not Glimpse.objects.exists()


# The threads.


@pytest.fixture
def other(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeDaemon, Host]]:
    """A second host that is connected."""
    daemon = FakeDaemon(tmp_path_factory.mktemp("other"))
    daemon.start()
    yield (
        daemon,
        Host.objects.create(name="other", uri=f"fake+unix://{daemon.socket}?keepalive=60", state=Host.State.CONNECTED),
    )
    daemon.close()


@pytest.fixture
def at_work(engine: Engine, vm: VirtualMachine) -> Iterator[None]:
    """Both threads, at a quick pace, on a host with one VM."""
    Host.objects.filter(pk=engine.host.pk).update(state=Host.State.CONNECTED)
    threads = onlookers.Sampler(every=0.1), onlookers.GlimpseTaker()
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.stop()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.usefixtures("at_work")
def test_a_host_that_hangs_loses_its_samples_and_no_others(
    engine: Engine, vm: VirtualMachine, other: tuple[FakeDaemon, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_EARLY", FINE)
    daemon, _host = other
    daemon.control.hang()
    wait_until(lambda: Sample.objects.filter(vm=vm).count() >= 2, "the host that answers is sampled")
    actions.look(engine.admin, vm, Kind.DEFINITION)
    wait_until(lambda: Glimpse.objects.get().taken_at, "the host that answers is asked")
    before = daemon.control.clients()
    wait_until(lambda: Sample.objects.filter(vm=vm).count() >= 6, "it goes on")
    assert daemon.control.clients() == before  # one call waits, and no others with it
    daemon.control.hang(False)


def test_a_host_that_is_away_is_an_error_of_one_round(engine: Engine, subject: sampling.HostSampling) -> None:
    engine.fake.control.refuse_connections()
    with pytest.raises(HostUnreachable):
        subject.take()

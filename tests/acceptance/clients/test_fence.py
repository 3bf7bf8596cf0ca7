"""fence_rhevm, which takes XML for lines of text, fences the VM it was told to. Source: REST contract, 2.4 and 4.1."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from shutil import which

import pytest

from tests.acceptance.clients.conftest import Guest, Person
from tests.acceptance.instance import PASSWORD, Instance, wait_status
from tests.support.fake import FakeDaemon
from vms.models import VirtualMachine

#: What it ends with.
DONE, OFF = 0, 2
Fence = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def pair(guest: Guest) -> tuple[VirtualMachine, VirtualMachine]:
    """Two VMs, one's name the beginning of the other's; both run."""
    return guest("node1"), guest("node10")


@pytest.fixture(scope="module")
def clusterer(person: Person, pair: tuple[VirtualMachine, VirtualMachine]) -> str:
    """Somebody who sees one of them."""
    return person("pacemaker", "Operator", pair[0])


@pytest.fixture(params=[[], ["--use-cookies"]], ids=["no cookies", "cookies"])
def cookies(request: pytest.FixtureRequest) -> list[str]:
    """With the password in each request, or once for a cookie."""
    options: list[str] = request.param
    return options


@pytest.fixture(scope="module")
def fence(portal: Instance, clusterer: str) -> Fence:
    """Run the agent, as Pacemaker does."""
    agent = which("fence_rhevm", path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert agent, "fence_rhevm is not installed: `./dev test` installs it"

    def run(
        action: str, *options: str, name: str = clusterer, password: str = PASSWORD
    ) -> subprocess.CompletedProcess[str]:
        where = ["--ip=127.0.0.1", f"--ipport={portal.port}", f"--username={name}", f"--password={password}"]
        return subprocess.run(
            [agent, *where, f"--action={action}", *options], capture_output=True, text=True, timeout=120, check=False
        )

    return run


def runs(host: FakeDaemon, machine: VirtualMachine) -> int:
    """Return how often a VM was started, by the host's own log."""
    return len(host.control.log(str(machine.uuid), names=["start"], call=True, effect=True))


def test_it_fences_the_vm_it_was_told_to_and_no_other(
    fence: Fence, cookies: list[str], pair: tuple[VirtualMachine, VirtualMachine], fake_host: FakeDaemon
) -> None:
    mine, other = pair
    wait_status(mine, "up")
    assert fence("status", "--plug=node1", *cookies).returncode == DONE
    off = fence("off", "--plug=node1", *cookies)
    assert off.returncode == DONE, off.stderr
    assert fence("status", "--plug=node1", *cookies).returncode == OFF
    wait_status(mine, "down")
    on = fence("on", "--plug=node1", *cookies)
    assert on.returncode == DONE, on.stderr
    wait_status(mine, "up")
    before = runs(fake_host, mine)
    reboot = fence("reboot", "--plug=node1", *cookies)
    assert reboot.returncode == DONE, reboot.stderr
    wait_status(mine, "up")
    assert runs(fake_host, mine) == before + 1
    assert fake_host.control.log(str(other.uuid), names=["destroy"], call=True) == []
    other.refresh_from_db()
    assert other.status == "up"


def test_it_lists_what_its_person_sees(fence: Fence, cookies: list[str]) -> None:
    for action in ("list", "list-status"):
        listed = fence(action, *cookies)
        assert listed.returncode == DONE, listed.stderr
        assert [line.split(",")[0] for line in listed.stdout.splitlines()] == ["node1"]


def test_it_lists_all_for_who_sees_all(fence: Fence, cookies: list[str]) -> None:
    for filtered in ([], ["--disable-http-filter"]):
        listed = fence("list", *cookies, *filtered, name="admin@internal")
        assert sorted(line.split(",")[0] for line in listed.stdout.splitlines()) == ["node1", "node10"]


def test_it_monitors(fence: Fence, cookies: list[str]) -> None:
    monitored = fence("monitor", *cookies)
    assert monitored.returncode == DONE, monitored.stderr


def test_it_finds_no_vm_that_its_person_does_not_see(fence: Fence, cookies: list[str]) -> None:
    for action in ("status", "off"):
        assert fence(action, "--plug=node10", *cookies).returncode not in (DONE, OFF)


def test_a_wrong_password_fences_nothing(fence: Fence, cookies: list[str]) -> None:
    # Not so `monitor`, of which the agent itself says that all is well whatever it was answered.
    for action in ("status", "off"):
        assert fence(action, "--plug=node1", *cookies, password="a wrong one").returncode not in (DONE, OFF)


def test_version_3_of_the_api_never_tells_a_running_vm_as_off(
    fence: Fence, pair: tuple[VirtualMachine, VirtualMachine]
) -> None:
    wait_status(pair[0], "up")
    asked = fence("status", "--plug=node1", "--api-version=3")
    assert asked.returncode not in (DONE, OFF)
    assert "OFF" not in asked.stdout

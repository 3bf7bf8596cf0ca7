"""Testing a connection: what a host says of itself, or libvirt's own words for what is wrong, each understood."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake import FakeDaemon
from tests.support.libvirtd import PrivateLibvirtd
from tests.support.pki import Authority, Certificate, client_directory
from vms.domain.trouble import Trouble, diagnose
from vms.hypervisor.base import HypervisorError
from vms.hypervisor.probe import probe

pytestmark = pytest.mark.behaviour(29)


def trouble(uri: str, seconds: float = 10) -> tuple[Trouble, str]:
    """Return what is wrong with a host, and libvirt's words for it."""
    with pytest.raises(HypervisorError) as error:
        probe(uri, seconds)
    return diagnose(str(error.value)), str(error.value)


@pytest.fixture
def closed_port() -> int:
    """A loopback port at which nobody listens."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


# Hosts of this machine.


def test_a_host_that_answers_tells_who_it_is_and_how_many_vms_it_has(fake: FakeDaemon) -> None:
    fake.control.define_many(3)
    found = probe(fake.uri, 10)
    assert (found.version, found.vm_count) == ("fake 1", 3)
    assert found.hostname


def test_a_daemons_simulated_host_answers(libvirtd: PrivateLibvirtd) -> None:
    found = probe(f"test+unix:///default?socket={libvirtd.socket}", 20)
    assert found.version.startswith("TEST ")
    assert found.vm_count == 1


def test_a_host_that_hangs_is_given_up_in_time_and_leaves_no_process(fake: FakeDaemon) -> None:
    os.kill(fake.pid, signal.SIGSTOP)
    processes = children()
    before = time.monotonic()
    assert trouble(fake.uri, 1)[0] is Trouble.NO_ANSWER
    assert time.monotonic() - before < 4
    assert children() == processes


def children() -> set[str]:
    """Return the process ids of this process's children."""
    return {pid for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()}


def test_a_hung_libvirtd_is_given_up_in_time(libvirtd: PrivateLibvirtd) -> None:
    assert libvirtd.pid is not None
    os.kill(libvirtd.pid, signal.SIGSTOP)
    try:
        assert trouble(libvirtd.uri, 2)[0] is Trouble.NO_ANSWER
    finally:
        os.kill(libvirtd.pid, signal.SIGCONT)


@pytest.mark.parametrize("scheme", ["qemu", "test+unix", "fake+unix"])
def test_a_socket_that_is_not_there_is_named(tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "no.sock"
    uri = f"fake+unix://{path}" if scheme == "fake+unix" else f"{scheme}:///session?socket={path}"
    kind, said = trouble(uri)
    assert kind is Trouble.NO_SOCKET
    assert str(path) in said


def test_a_daemon_that_serves_the_other_path_is_told_from_one_that_is_away(libvirtd: PrivateLibvirtd) -> None:
    assert trouble(f"qemu:///system?socket={libvirtd.socket}")[0] is Trouble.WRONG_PATH


def test_a_driver_that_the_host_does_not_have_is_told(libvirtd: PrivateLibvirtd) -> None:
    assert trouble(f"xen+unix:///system?socket={libvirtd.socket}")[0] is Trouble.NO_DRIVER


# Hosts over the network.


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_name_that_nobody_knows(transport: str, tmp_path: Path) -> None:
    pki = a_client(tmp_path)
    parameters = f"?pkipath={pki}" if transport == "tls" else ""
    assert trouble(f"qemu+{transport}://no-such-host.invalid/system{parameters}")[0] is Trouble.NOT_RESOLVED


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_port_at_which_nobody_listens(transport: str, closed_port: int, tmp_path: Path) -> None:
    parameters = f"?pkipath={a_client(tmp_path)}" if transport == "tls" else ""
    assert trouble(f"qemu+{transport}://127.0.0.1:{closed_port}/system{parameters}")[0] is Trouble.REFUSED


def a_client(directory: Path) -> Path:
    """Make a directory of a client's certificates."""
    authority = Authority(directory, "authority")
    return client_directory(directory / "pki", [authority], authority.issue("client", alternative_names="DNS:client"))


# TLS, with a libvirtd that speaks it.


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    """The authority of our hosts, and another one."""
    directory = tmp_path_factory.mktemp("pki")
    return Authority(directory, "ours"), Authority(directory, "theirs")


def _serving(authority: Authority, names: str) -> Iterator[PrivateLibvirtd]:
    certificate: Certificate = authority.issue("server", alternative_names=names)
    with PrivateLibvirtd(tls=(authority, certificate)) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def tls_host(authorities: tuple[Authority, Authority]) -> Iterator[PrivateLibvirtd]:
    """A libvirtd with a certificate for 127.0.0.1, for clients of our authority."""
    yield from _serving(authorities[0], "IP:127.0.0.1")


def over_tls(daemon: PrivateLibvirtd, pki: Path, host: str = "127.0.0.1") -> str:
    """Return the URI of a daemon over TLS."""
    return f"qemu+tls://{host}:{daemon.tls_port}/session?pkipath={pki}"


def test_a_host_over_tls_answers(
    tls_host: PrivateLibvirtd, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    ours, _ = authorities
    pki = client_directory(tmp_path / "pki", [ours], ours.issue("client", alternative_names="DNS:client"))
    assert probe(over_tls(tls_host, pki), 20).version.startswith("QEMU ")


def test_a_certificate_of_an_unknown_authority_is_not_trusted(
    tls_host: PrivateLibvirtd, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    _, theirs = authorities
    pki = client_directory(tmp_path / "pki", [theirs], theirs.issue("client", alternative_names="DNS:client"))
    assert trouble(over_tls(tls_host, pki))[0] is Trouble.TLS_UNTRUSTED


def test_a_certificate_for_another_name_is_not_trusted(
    tls_host: PrivateLibvirtd, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    ours, _ = authorities
    pki = client_directory(tmp_path / "pki", [ours], ours.issue("client", alternative_names="DNS:client"))
    assert trouble(over_tls(tls_host, pki, host="localhost"))[0] is Trouble.TLS_UNTRUSTED


def test_a_client_that_the_host_does_not_trust_is_turned_away(
    tls_host: PrivateLibvirtd, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    ours, theirs = authorities
    pki = client_directory(tmp_path / "pki", [ours, theirs], theirs.issue("client", alternative_names="DNS:client"))
    kind, said = trouble(over_tls(tls_host, pki))
    assert kind is Trouble.TLS_REJECTED, said


def test_the_portals_own_certificate_has_to_be_there_and_to_fit(
    tls_host: PrivateLibvirtd, authorities: tuple[Authority, Authority], tmp_path: Path
) -> None:
    ours, theirs = authorities
    pki = client_directory(tmp_path / "pki", [ours], theirs.issue("client", alternative_names="DNS:client"))
    assert trouble(over_tls(tls_host, pki))[0] is Trouble.TLS_FILES
    (pki / "cacert.pem").unlink()
    assert trouble(over_tls(tls_host, pki))[0] is Trouble.TLS_FILES


# SSH. libvirt runs the first `ssh` on the PATH and passes on what it says before it ends.


@pytest.fixture
def ssh_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `ssh` that writes its command line down, says what is in a file of the test's, and ends as ssh does."""
    program = tmp_path / "ssh"
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\ncat {tmp_path}/said >&2\nexit 255\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "said"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("ssh: connect to host kvm2 port 22: Connection refused", Trouble.REFUSED),
        ("ssh: connect to host kvm2 port 22: Connection timed out", Trouble.NO_ANSWER),
        ("ssh: connect to host kvm2 port 22: No route to host", Trouble.NO_ROUTE),
        ("ssh: Could not resolve hostname kvm2: Name or service not known", Trouble.NOT_RESOLVED),
        ("ada@kvm2: Permission denied (publickey).", Trouble.SSH_KEY_REFUSED),
        ("ada@kvm2: Permission denied (publickey,password).", Trouble.SSH_KEY_REFUSED),
        ("Host key verification failed.", Trouble.SSH_HOST_UNKNOWN),
        (
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.",
            Trouble.SSH_HOST_CHANGED,
        ),
        (
            (
                "Warning: Identity file /nokey not accessible: No such file or directory.\n"
                "ada@kvm2: Permission denied (publickey)."
            ),
            Trouble.SSH_KEY_FILE,
        ),
        ('Load key "/key": invalid format\nada@kvm2: Permission denied (publickey).', Trouble.SSH_KEY_FILE),
        ("sh: 1: nc: not found", Trouble.SSH_NO_LIBVIRT),
    ],
)
def test_what_ssh_says_is_understood(ssh_says: Path, said: str, kind: Trouble) -> None:
    ssh_says.write_text(f"{said}\n")
    assert trouble("qemu+ssh://ada@kvm2/system") == (kind, f"Cannot recv data: {said}: Connection reset by peer")


def test_ssh_is_told_never_to_ask(ssh_says: Path) -> None:
    ssh_says.write_text("no\n")
    trouble("qemu+ssh://ada@kvm2:2222/system?keyfile=/etc/vm-portal/key")
    asked = (ssh_says.parent / "asked").read_text()
    for option in ("BatchMode=yes", "-i /etc/vm-portal/key", "-p 2222", "-l ada", "-- kvm2"):
        assert option in asked


def test_a_machine_without_ssh_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert trouble("qemu+ssh://ada@kvm2/system")[0] is Trouble.SSH_MISSING

"""`Hypervisor.display` where there is no screen to be had, and screens on other machines. Real ones: test_console."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import libvirt
import pytest
from lxml import etree

from vms.hypervisor.base import HostUnreachable, NotSupported, RunChanged
from vms.hypervisor.libvirt_driver import LibvirtHypervisor, display


def graphics(listen: str, port: int) -> etree._Element:
    """Return a display's part of a running domain's XML."""
    return etree.fromstring(f"<graphics type='vnc' port='{port}' listen='{listen}'/>")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A display of another machine, which is this one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.parametrize("listen", ["0.0.0.0", "::", "127.0.0.2"])
def test_a_display_elsewhere_is_reached_where_it_listens(
    server: socket.socket, listen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of this machine's addresses are loopback to whoever cannot leave it.
    monkeypatch.setattr(display, "_is_loopback", lambda _: False)
    port = server.getsockname()[1]
    if listen == "127.0.0.2":
        with pytest.raises(HostUnreachable, match=rf"127\.0\.0\.2, port {port}"):
            display._over_network("127.0.0.1", graphics(listen, port))
        return
    with display._over_network("127.0.0.1", graphics(listen, port)) as connected:
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"RFB")
            assert connected.recv(3) == b"RFB"


@pytest.mark.parametrize(
    ("listen", "port", "why"),
    [
        ("127.0.0.1", 5900, "its own host only"),
        ("::1", 5900, "its own host only"),
        ("localhost", 5900, "its own host only"),
        ("10.0.0.1", -1, "no port"),
        ("", 5900, "no port"),
    ],
)
def test_a_display_that_another_machine_cannot_reach_says_what_to_do(listen: str, port: int, why: str) -> None:
    with pytest.raises(NotSupported, match=why):
        display._over_network("kvm1", graphics(listen, port))


def test_who_runs_not_or_has_no_vnc_shows_no_screen() -> None:
    connection = libvirt.open("test:///default")
    domain = connection.lookupByName("test")
    try:
        with pytest.raises(NotSupported, match="no VNC display"):
            display.connect(connection, "test:///default", domain.UUIDString())
        domain.destroy()
        with pytest.raises(RunChanged):
            display.connect(connection, "test:///default", domain.UUIDString())
    finally:
        connection.close()


def test_the_port_raises_its_own_errors() -> None:
    hypervisor = LibvirtHypervisor("test:///default")
    (domain,) = hypervisor.domains()
    with pytest.raises(NotSupported):
        hypervisor.display(domain.uuid)
    hypervisor.close()

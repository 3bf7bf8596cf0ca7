"""The authority on reaching the screen of a domain: over libvirt where its host is this machine, else over the network.

libvirt hands a connection to the display over as a file descriptor, for which no port and no password is needed. It
can do so to processes of its own machine alone.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

import libvirt
from lxml import etree

from vms.hypervisor import domain_xml
from vms.hypervisor.base import HostUnreachable, NotSupported, RunChanged

#: Seconds that a display on another machine may take to accept a connection.
_CONNECT_LIMIT = 3.0
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  (nothing here listens)


def connect(connection: libvirt.virConnect, uri: str, uuid: str) -> socket.socket:
    """Return a connection to the VNC display of a domain.

    Args:
        uri: The host's.

    Raises:
        RunChanged: Nothing is running.
        NotSupported: It has no VNC display, or none that can be reached.
        HostUnreachable: Its display does not accept connections.
    """
    domain = connection.lookupByUUIDString(uuid)
    if not domain.isActive():
        raise RunChanged("it is not running")
    screens = domain_xml.parse(domain.XMLDesc()).findall("devices/graphics")
    number = next((n for n, screen in enumerate(screens) if screen.get("type") == "vnc"), None)
    if number is None:
        raise NotSupported("it has no VNC display; its definition needs <graphics type='vnc'/>")
    host = urlsplit(uri).hostname
    if host is not None:
        return _over_network(host, screens[number])
    return socket.socket(fileno=domain.openGraphicsFD(number, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH))


def _over_network(host: str, screen: etree._Element) -> socket.socket:
    address, port = screen.get("listen") or "", int(screen.get("port") or -1)
    if port <= 0 or not address:
        raise NotSupported("its VNC display listens on no port, and its host is another machine")
    if _is_loopback(address):
        raise NotSupported("its VNC display listens on its own host only; give its <graphics> an address to listen on")
    try:
        display = socket.create_connection((host if address in _EVERYWHERE else address, port), _CONNECT_LIMIT)
    except OSError as error:
        raise HostUnreachable(f"its VNC display at {address}, port {port}: {error}") from error
    # A machine that vanished says no goodbye.
    display.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return display


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"

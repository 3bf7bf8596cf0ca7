"""Command line: put the demo guests on a host, or take them away. Used by `./dev run`.

python -m vms.demo up --home DIR --uri URI
python -m vms.demo down --home DIR --uri URI
"""

import argparse
import sys
from pathlib import Path

import libvirt

from vms.demo.guests import DEMO_GUESTS, instance_id
from vms.demo.image import ImageError
from vms.demo.packages import PackageError
from vms.demo.provision import (
    ProvisionError,
    define_demo_guests,
    provide_image,
    remove_demo_guests,
    remove_shared_image,
)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when done or when there was nothing to do, 1 with one message on stderr when it failed."""
    parser = argparse.ArgumentParser(prog="python -m vms.demo", description="The demo guests of VM Portal.")
    parser.add_argument("command", choices=("up", "down"))
    parser.add_argument("--home", type=Path, required=True, help="PORTAL_HOME; the boot image is built in it")
    parser.add_argument("--uri", required=True, help="libvirt connection URI of the host")
    options = parser.parse_args(arguments)

    libvirt.registerErrorHandler(lambda _context, _error: None, None)  # errors are reported below, once
    try:
        conn = libvirt.open(options.uri)
        try:
            if options.command == "up":
                _up(conn, options.uri, options.home)
            else:
                _down(conn, options.home)
        finally:
            conn.close()
    except (ImageError, PackageError, ProvisionError, libvirt.libvirtError, OSError) as error:
        print(f"demo guests: {error}", file=sys.stderr)
        return 1
    return 0


def _up(conn: libvirt.virConnect, uri: str, home: Path) -> None:
    if conn.listAllDomains():
        print("demo guests: the host has domains already, nothing was added")
        return
    print("demo guests: preparing their boot image (some seconds, the first time) ...", flush=True)
    instance = instance_id(home)
    names = define_demo_guests(conn, provide_image(conn, uri, home, instance), instance)
    for name, guest in zip(names, DEMO_GUESTS.values(), strict=False):
        print(f"  {name:<16}{guest.description}")


def _down(conn: libvirt.virConnect, home: Path) -> None:
    instance = instance_id(home)
    removed = remove_demo_guests(conn, instance)
    remove_shared_image(instance)
    print(f"demo guests: removed {', '.join(removed) or 'none'}")


if __name__ == "__main__":
    sys.exit(main())

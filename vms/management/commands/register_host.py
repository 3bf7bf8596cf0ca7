"""`manage.py register_host URI`: have the portal manage a libvirt host."""

import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from vms.models import Host


class Command(BaseCommand):
    """Registers a host once; a host that is known already is left as it is."""

    help = "Have the portal manage the libvirt host with this connection URI."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the URI and, if wanted, a name."""
        parser.add_argument("uri", help="a libvirt connection URI, for example qemu:///system")
        parser.add_argument("--name", help="what the portal calls it (default: this machine's name)")

    def handle(self, *args: Any, uri: str, name: str | None, **options: Any) -> None:
        """Create the host unless its URI is known."""
        name = name or socket.gethostname()
        if Host.objects.filter(name=name).exclude(uri=uri).exists():
            name = f"{name} {uri}"
        host, created = Host.objects.get_or_create(uri=uri, defaults={"name": name})
        self.stdout.write(f"{host.name}: {'registered' if created else 'known already'}")

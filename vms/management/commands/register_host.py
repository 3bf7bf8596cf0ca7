"""`manage.py register_host URI`: have the portal manage a libvirt host."""

import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from vms import host_words
from vms.domain import host_uri
from vms.domain.errors import HostUriError
from vms.models import Host


class Command(BaseCommand):
    """Registers a host once; one that is known already is left as it is, also when it was removed in the portal."""

    help = "Have the portal manage the libvirt host with this connection URI."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the URI and, if wanted, a name."""
        parser.add_argument("uri", help="a libvirt connection URI, for example qemu:///system")
        parser.add_argument("--name", help="what the portal calls it (default: this machine's name)")

    def handle(self, *args: Any, uri: str, name: str | None, **options: Any) -> None:
        """Create the host unless its URI is known."""
        try:
            uri = host_uri.parse(uri).text
        except HostUriError as error:
            raise CommandError(host_words.uri_error(error)) from None
        name = name or socket.gethostname()
        if Host.objects.managed().filter(name=name).exclude(uri=uri).exists():
            name = f"{name} {uri}"
        host, created = Host.objects.get_or_create(uri=uri, defaults={"name": name})
        known = "known already" if host.removed_at is None else "removed in the portal, where it can be added again"
        self.stdout.write(f"{host.name}: {'registered' if created else known}")

"""The portal's own processes, on a fake host or on real guests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.acceptance.instance import Instance
from tests.support.fake import FakeDaemon
from tests.support.guests import BootedGuest, boot_all
from tests.support.libvirtd import PrivateLibvirtd
from tests.support.postgres import is_postgres, new_database
from vms.demo.guests import DEMO_GUESTS, EmulatorType
from vms.demo.image import GuestImage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here runs the portal's own processes, and one at a time: they share two cores with their guests."""
    for item in items:
        if "tests/acceptance" in item.nodeid:
            item.add_marker(pytest.mark.acceptance)


@pytest.fixture(scope="module")
def workspace() -> Iterator[Path]:
    """A directory with a short name, for sockets."""
    with tempfile.TemporaryDirectory(prefix="vmp-acc-") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def fake_host(workspace: Path) -> Iterator[FakeDaemon]:
    """A fake host that the tests of one module share."""
    daemon = FakeDaemon(workspace)
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    """The DATABASE_URL of one instance: a database of its own where the tests run on PostgreSQL, else empty."""
    server = os.environ.get("DATABASE_URL", "")
    if not is_postgres(server):
        yield ""
        return
    with new_database(server) as url:
        yield url


@pytest.fixture(scope="module")
def portal(
    workspace: Path, fake_host: FakeDaemon, database_url: str, django_db_blocker: DjangoDbBlocker
) -> Iterator[Instance]:
    """A portal that manages the fake host; the models read its database."""
    yield from running(Instance(workspace / "home", fake_host.uri, database_url), django_db_blocker)


@pytest.fixture(scope="module")
def demo_guests(
    libvirtd: PrivateLibvirtd, guest_image: GuestImage, emulator_type: EmulatorType
) -> dict[str, BootedGuest]:
    """The four demo guests, by their names, on a libvirtd of the module's own; they listen."""
    return boot_all(libvirtd, guest_image, emulator_type, DEMO_GUESTS.values())


@pytest.fixture(scope="module")
def real_portal(
    workspace: Path,
    libvirtd: PrivateLibvirtd,
    demo_guests: dict[str, BootedGuest],
    database_url: str,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Instance]:
    """A portal that manages the demo guests; the models read its database."""
    yield from running(Instance(workspace / "home", libvirtd.uri, database_url), django_db_blocker)


def running(instance: Instance, blocker: DjangoDbBlocker) -> Iterator[Instance]:
    """Run an instance for the time of a fixture; the models read its database."""
    try:
        instance.start()
        with blocker.unblock(), instance.database():
            yield instance
    finally:
        instance.stop()

"""The fixtures of this ring: an engine on a fake host, and people with permissions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Permission, User

from tests.engine.harness import Engine, engine_on
from tests.support.fake import FakeDaemon


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The engine's promises hold on either database."""
    for item in items:
        if "tests/engine" in item.nodeid:
            item.add_marker(pytest.mark.both_databases)


@pytest.fixture
def engine(fake: FakeDaemon, transactional_db: None) -> Iterator[Engine]:
    """An engine on an empty fake host, whose events it hears; the broker is a queue of the test."""
    with engine_on(fake) as engine:
        yield engine


@pytest.fixture
def person(transactional_db: None) -> Callable[..., User]:
    """Make somebody who may do what is named and nothing else: `person("reboot_vm", "view_vm")`."""

    def make(*codenames: str, name: str = "somebody") -> User:
        user = User.objects.create_user(name, password="x")
        granted = Permission.objects.filter(content_type__app_label="vms", codename__in=codenames)
        assert granted.count() == len(codenames), codenames
        user.user_permissions.set(granted)
        return user

    return make

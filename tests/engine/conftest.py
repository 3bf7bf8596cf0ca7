"""The fixture of this ring: an engine on a fake host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from tests.engine.harness import Engine
from tests.support.fake import FakeDaemon
from vms import tasks
from vms.models import Host


@pytest.fixture
def engine(fake: FakeDaemon, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine on an empty fake host, whose events it hears; the broker is a queue of the test."""
    admin = User.objects.create_superuser("admin", password="x")
    engine = Engine(fake, Host.objects.create(name="fake", uri=fake.uri), admin)
    monkeypatch.setattr(tasks, "wake", engine.wake)
    listener = fake.connect()
    watch = listener.watch(engine.hear, lambda reason: None)
    yield engine
    watch.close()
    listener.close()

"""Mail that arrives whatever happens on the way, and a VM removed with a disk, through the portal's own processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.acceptance.conftest import running
from tests.acceptance.instance import Instance, Person, ended, vm, wait_status
from tests.support.fake import FakeDaemon
from tests.support.smtp import MailServer, Temper
from tests.support.waiting import wait_until
from vms.domain.disks import Disk
from vms.domain.operation import Outcome
from vms.domain.power import VmStatus
from vms.hypervisor.fake import STUBBORN
from vms.models import Mail


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """A mail server that hangs, at first."""
    server = MailServer()
    server.temper = Temper.HANGS
    yield server
    server.close()


@pytest.fixture(scope="module")
def portal(
    workspace: Path, fake_host: FakeDaemon, database_url: str, server: MailServer, django_db_blocker: DjangoDbBlocker
) -> Iterator[Instance]:
    """A portal that mails by way of that server."""
    mail = {
        "EMAIL_URL": f"smtp://127.0.0.1:{server.port}",
        "PORTAL_EMAIL_FROM": "VM Portal <portal@example.org>",
        "PORTAL_URL": "https://vms.example.org",
    }
    yield from running(Instance(workspace / "home", fake_host.uri, database_url, **mail), django_db_blocker)


@pytest.fixture(scope="module")
def admin(portal: Instance) -> Person:
    """The administrator, logged in."""
    return portal.person()


@pytest.mark.behaviour(1, 25)
def test_a_mail_server_that_hangs_holds_up_no_operation_and_its_mail_arrives_once_it_answers(
    portal: Instance, admin: Person, fake_host: FakeDaemon, server: MailServer
) -> None:
    assert admin.post("/account/", email="ada@example.org", **{"all-gave_up": "on"}).status == 200
    for name in ("first", "second"):
        fake_host.control.define(name, STUBBORN)
        wait_status(vm(name), VmStatus.UP)
    assert ended(admin.act("reboot", vm("first"), graceful_delay=1).pk).outcome == Outcome.GAVE_UP
    wait_until(lambda: server.connections, "the mail server is tried", 30)
    # While the mail server hangs, operations are accepted and carried out.
    assert ended(admin.act("reboot", vm("second"), graceful_delay=1).pk).outcome == Outcome.GAVE_UP
    assert not server.taken
    portal.kill("chores")
    server.temper = Temper.OBEDIENT
    Mail.objects.filter(state=Mail.State.WAITING).update(due_at="2020-01-01T00:00:00Z")
    wait_until(lambda: len(server.taken) >= 2, "both mails have arrived", 120)
    wait_until(lambda: not Mail.objects.exclude(state=Mail.State.SENT).exists(), "both are known to be sent", 30)
    subjects = {taken.message["Subject"] for taken in server.taken}
    assert subjects == {"first: Reboot – Gave up", "second: Reboot – Gave up"}
    assert len({taken.message["Message-ID"] for taken in server.taken}) == 2


def test_a_vm_is_removed_with_the_disk_that_was_ticked(portal: Instance, admin: Person, fake_host: FakeDaemon) -> None:
    disks = [Disk("vda", "/images/system"), Disk("vdb", "/images/data")]
    for disk in disks:
        fake_host.control.make_image(disk.source)
    fake_host.control.define("legacy", running=False, disks=[disk.as_json() for disk in disks])
    wait_status(vm("legacy"), VmStatus.DOWN)
    operation = ended(admin.act("remove", vm("legacy"), disks="/images/data").pk)
    assert operation.outcome == Outcome.DONE
    assert set(fake_host.control.images()) == {"/images/system"}
    wait_status(vm("legacy"), VmStatus.GONE)
    legacy = vm("legacy")
    assert 'name="disks"' not in admin.get(f"/vms/remove/?vm={legacy.pk}").body
    admin.act("remove", legacy)
    assert str(legacy.pk) not in admin.get("/").body
    assert "legacy" in admin.get("/operations/").body

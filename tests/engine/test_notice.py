"""Who is mailed about the end of an operation, and that a mail outlives whatever goes wrong with sending it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.utils import timezone

from tests.engine.death import forked
from tests.engine.harness import Engine, at_once
from tests.support.smtp import MailServer, Temper
from vms import actions, outbox
from vms.domain import notice
from vms.domain.decide import Finish
from vms.domain.operation import Outcome
from vms.engine import journal
from vms.engine.records import Code
from vms.hypervisor.fake import OBEDIENT, STUBBORN
from vms.models import Event, Mail, Operation, VirtualMachine

Person = Callable[..., User]


@pytest.fixture
def ada(person: Person) -> User:
    """Somebody who sees VMs and wants to hear when one gave up, failed or was forced."""
    ada = person("view_vm", name="ada")
    actions.subscribe(ada, "ada@example.org", {None: notice.OUTCOMES})
    return ada


def gave_up(engine: Engine, vm: VirtualMachine) -> Operation:
    """Have a reboot give up."""
    operation = engine.finish(actions.reboot(engine.admin, vm, delay=1, force=False, reason="new kernel"))
    assert operation.outcome == Outcome.GAVE_UP
    return operation


def make_due() -> None:
    """Let what waits for its next attempt be due."""
    Mail.objects.filter(state__in=Mail.UNSENT).update(due_at=timezone.now())


def failures() -> list[str]:
    """Return what the events say about mails that were not sent, oldest first."""
    told = Event.objects.filter(code__in=(Code.MAIL_FAILED, Code.MAIL_SERVER_FAILED))
    return list(told.order_by("id").values_list("message", flat=True))


def test_a_reboot_that_gives_up_is_mailed_with_all_that_one_needs(
    engine: Engine, ada: User, mail_server: MailServer
) -> None:
    operation = gave_up(engine, engine.define("web01", STUBBORN))
    assert Mail.objects.get().state == Mail.State.WAITING
    assert mail_server.connections == 0, "the engine speaks to no mail server"
    assert outbox.send_due() == 1
    (taken,) = mail_server.taken
    assert (taken.sender, taken.recipient) == ("portal@example.org", "ada@example.org")
    assert taken.message["Subject"] == "web01: Reboot – Gave up"
    assert taken.message["From"] == "VM Portal <portal@example.org>"
    assert taken.message["Auto-Submitted"] == "auto-generated"
    text = taken.message.get_content()
    for told in (
        "Reboot of web01 gave up: the guest did not shut down within 1 s",
        "Virtual machine: web01 (fake)",
        "Asked for by: admin",
        "Reason: new kernel",
        "What you can do: look at the guest's screen",
        f"https://vms.example.org/operations/{operation.pk}/",
        "https://vms.example.org/account/",
    ):
        assert told in text
    assert "{%" not in text
    assert not re.search(r"\n\n\n", text)
    assert outbox.send_due() == 0
    assert Mail.objects.get().state == Mail.State.SENT


def test_a_failure_is_mailed_with_what_the_host_said(engine: Engine, ada: User, mail_server: MailServer) -> None:
    vm = engine.define()
    engine.fake.control.fail(str(vm.uuid), "save", times=10, text="no space left on device")
    assert engine.finish(actions.suspend(engine.admin, vm)).outcome == Outcome.FAILED
    outbox.send_due()
    assert "no space left on device" in mail_server.taken[0].message.get_content()


@pytest.mark.parametrize(
    ("outcome", "wanted", "mailed"),
    [
        (Outcome.FORCED, Outcome.FORCED, True),
        (Outcome.FORCED, Outcome.GAVE_UP, False),
        (Outcome.GAVE_UP, Outcome.GAVE_UP, True),
        (Outcome.GAVE_UP, Outcome.FAILED, False),
    ],
)
def test_one_hears_of_the_outcomes_one_chose(
    engine: Engine, person: Person, mail_server: MailServer, outcome: Outcome, wanted: Outcome, mailed: bool
) -> None:
    actions.subscribe(person("view_vm"), "somebody@example.org", {None: [wanted]})
    vm = engine.define("web01", STUBBORN)
    engine.finish(actions.reboot(engine.admin, vm, delay=1, force=outcome is Outcome.FORCED))
    outbox.send_due()
    assert bool(mail_server.taken) is mailed


def test_what_went_well_is_not_mailed(engine: Engine, ada: User, mail_server: MailServer) -> None:
    engine.finish(actions.reboot(engine.admin, engine.define("web01", OBEDIENT)))
    assert not Mail.objects.exists()


def test_one_hears_of_the_tags_one_chose_and_once(engine: Engine, person: Person, mail_server: MailServer) -> None:
    tagged, other = engine.define_all([STUBBORN, STUBBORN])
    actions.set_tags(engine.admin, tagged, ["Production", "web"])
    tags = [tag.pk for tag in tagged.tags.all()]
    somebody = person("view_vm")
    actions.subscribe(somebody, "somebody@example.org", {tag: [Outcome.GAVE_UP] for tag in tags})
    for vm in (tagged, other):
        gave_up(engine, vm)
    outbox.send_due()
    assert [taken.message["Subject"] for taken in mail_server.taken] == [f"{tagged.name}: Reboot – Gave up"]
    actions.subscribe(somebody, "somebody@example.org", {None: [Outcome.GAVE_UP], tags[0]: [Outcome.GAVE_UP]})
    gave_up(engine, tagged)
    outbox.send_due()
    assert len(mail_server.taken) == 2


def test_nobody_is_mailed_about_a_vm_that_they_may_not_see(
    engine: Engine, ada: User, person: Person, mail_server: MailServer
) -> None:
    blind = person(name="blind")
    actions.subscribe(blind, "blind@example.org", {None: notice.OUTCOMES})
    gave_up(engine, engine.define("web01", STUBBORN))
    # A right that was taken away after the mail was written counts, too.
    ada.user_permissions.remove(Permission.objects.get(codename="view_vm"))
    assert outbox.send_due() == 0
    assert mail_server.connections == 0
    assert set(Mail.objects.values_list("state", flat=True)) == {Mail.State.WITHHELD}


def test_who_was_deactivated_or_has_no_address_is_not_mailed(
    engine: Engine, ada: User, person: Person, mail_server: MailServer
) -> None:
    actions.subscribe(person("view_vm", name="nowhere"), "", {None: notice.OUTCOMES})
    User.objects.filter(pk=ada.pk).update(is_active=False)
    gave_up(engine, engine.define("web01", STUBBORN))
    assert not Mail.objects.exists()


def test_nothing_is_written_while_mail_is_off(engine: Engine, ada: User) -> None:
    gave_up(engine, engine.define("web01", STUBBORN))
    assert not Mail.objects.exists()
    assert outbox.send_due() == 0


def test_a_mail_is_written_with_the_end_or_not_at_all(engine: Engine, ada: User, mail_server: MailServer) -> None:
    operation = actions.reboot(engine.admin, engine.define("web01", STUBBORN), delay=1, force=False)
    row = journal.read(operation.pk)

    def end_and_die() -> None:
        with transaction.atomic():
            journal.finish(row, Finish(Outcome.GAVE_UP), timezone.now())
            assert Mail.objects.count() == 1
            raise RuntimeError("the worker dies")

    with pytest.raises(RuntimeError, match="the worker dies"):
        end_and_die()
    assert not Mail.objects.exists()
    operation.refresh_from_db()
    assert operation.active


def test_an_overtaken_operation_that_forced_its_vm_off_is_mailed(
    engine: Engine, ada: User, mail_server: MailServer
) -> None:
    vm = engine.define("web01", STUBBORN)
    first = actions.power_cycle(engine.admin, vm)
    engine.fake.control.set_temper(str(vm.uuid), STUBBORN.__class__(agent_late=60))
    engine.run(lambda: Operation.objects.get(pk=first.pk).stage == "coming_up", "it has started the VM")
    engine.finish(actions.power_off(engine.admin, vm))
    first.refresh_from_db()
    assert first.outcome == Outcome.FORCED
    assert Mail.objects.filter(operation=first).count() == 1


# What can go wrong


def test_a_server_that_hangs_is_left_after_a_while_and_tried_again(
    engine: Engine, ada: User, mail_server: MailServer
) -> None:
    for vm in engine.define_all([STUBBORN, STUBBORN]):
        gave_up(engine, vm)
    mail_server.temper = Temper.HANGS
    assert outbox.send_due() == 0
    assert mail_server.connections == 1, "one mail finds out for all that the server hangs"
    assert len(failures()) == 1
    for _ in range(3):
        make_due()
        outbox.send_due()
    assert len(failures()) == 1, "the trouble is told of once"
    mail_server.temper = Temper.OBEDIENT
    make_due()
    assert outbox.send_due() == 2
    mail_server.temper = Temper.CLOSED
    gave_up(engine, VirtualMachine.objects.all()[0])
    outbox.send_due()
    assert len(failures()) == 2, "it is new trouble once a mail was sent"


@pytest.mark.parametrize("temper", [Temper.REFUSES_RECIPIENTS, Temper.REFUSES_TEXT])
def test_a_mail_that_is_refused_for_good_is_given_up_with_one_event(
    engine: Engine, ada: User, mail_server: MailServer, temper: Temper
) -> None:
    gave_up(engine, engine.define("web01", STUBBORN))
    mail_server.temper = temper
    assert outbox.send_due() == 0
    assert Mail.objects.get().state == Mail.State.GIVEN_UP
    (told,) = failures()
    assert "ada" in told
    assert "550 no such mailbox" in told or "554 looks like spam" in told
    make_due()
    assert outbox.send_due() == 0
    assert mail_server.connections == 1


def test_one_refusal_holds_up_no_other_mail(engine: Engine, ada: User, person: Person, mail_server: MailServer) -> None:
    gave_up(engine, engine.define("web01", STUBBORN))
    mail_server.temper = Temper.BUSY
    outbox.send_due()
    assert Mail.objects.get().state == Mail.State.WAITING
    assert failures() == [], "to be put off is usual"
    mail_server.temper = Temper.OBEDIENT
    assert outbox.send_due() == 0, "it is not due yet"
    make_due()
    assert outbox.send_due() == 1


def test_a_mail_that_cannot_be_sent_for_a_day_is_given_up_with_one_event(
    engine: Engine, ada: User, mail_server: MailServer
) -> None:
    for vm in engine.define_all([STUBBORN, STUBBORN]):
        gave_up(engine, vm)
    Mail.objects.update(created_at=timezone.now() - notice.GIVE_UP_AFTER)
    assert outbox.send_due() == 0
    assert mail_server.connections == 0
    assert failures() == ["2 notices could not be sent within 24 hours and were given up."]


def test_attempts_grow_apart_and_stay_within_the_day() -> None:
    gaps = [notice.retry_gap(attempt) for attempt in range(1, 30)]
    assert gaps == sorted(gaps)
    assert gaps[0] == timedelta(minutes=1)
    assert gaps[-1] == timedelta(hours=1)


def test_a_sender_that_dies_while_sending_repeats_the_same_mail(
    engine: Engine, ada: User, mail_server: MailServer
) -> None:
    gave_up(engine, engine.define("web01", STUBBORN))
    mail_server.temper = Temper.HANGS_AFTER_TAKING
    # The server has the mail, but its answer never comes: nobody knows.
    assert outbox.send_due() == 0
    mail_server.temper = Temper.OBEDIENT
    make_due()
    assert outbox.send_due() == 1
    first, second = (taken.message for taken in mail_server.taken)
    assert first["Message-ID"] == second["Message-ID"]
    assert first.get_content() == second.get_content()
    assert first["Message-ID"].endswith("@vms.example.org>")


def test_a_sender_that_is_killed_leaves_its_mail_to_the_next(
    engine: Engine, ada: User, mail_server: MailServer
) -> None:
    gave_up(engine, engine.define("web01", STUBBORN))

    def claim() -> None:
        assert outbox._claim_next() is not None

    with forked(claim):
        pass
    assert Mail.objects.get().state == Mail.State.SENDING
    assert outbox.send_due() == 0, "its sender may live yet"
    make_due()
    assert outbox.send_due() == 1


def test_senders_that_meet_send_each_mail_once(engine: Engine, ada: User, mail_server: MailServer) -> None:
    for vm in engine.define_all([STUBBORN] * 4):
        gave_up(engine, vm)
    assert sum(at_once([outbox.send_due] * 4)) == 4
    assert len({taken.message["Message-ID"] for taken in mail_server.taken}) == len(mail_server.taken) == 4

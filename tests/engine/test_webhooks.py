"""Which webhooks are told of an event, and that a delivery outlives whatever goes wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from tests.engine.death import forked
from tests.engine.harness import Engine, at_once
from tests.support.receiver import Receiver, Taken, Temper
from vms import actions, webhooks
from vms.domain import webhook as rules
from vms.domain.webhook import WebhookError
from vms.engine import retention
from vms.engine.records import Code, record
from vms.hypervisor.fake import OBEDIENT
from vms.models import Assignment, Event, Host, Role, Tag, VirtualMachine, Webhook, WebhookDelivery

Person = Callable[..., User]
Add = Callable[..., Webhook]
State = WebhookDelivery.State

_DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"


@pytest.fixture
def ada(person: Person) -> User:
    """Somebody who sees VMs and events, and may have webhooks."""
    return person("view_vm", "view_event", "add_webhook", "change_webhook", "delete_webhook", name="ada")


@pytest.fixture
def add(ada: User, receiver: Receiver) -> Add:
    """Have events posted to the receiver."""

    def add(name: str = "pager", owner: User = ada, tags: tuple[Tag, ...] = (), **chosen: Any) -> Webhook:
        webhook = Webhook(**{"name": name, "url": receiver.url, "codes": [Code.VM_DOWN]} | chosen)
        actions.add_webhook(owner, webhook, tags)
        return webhook

    return add


@pytest.fixture
def vm(engine: Engine) -> VirtualMachine:
    """A VM."""
    return engine.define("web01", OBEDIENT)


@pytest.fixture
def other(receiver: Receiver) -> Iterator[Receiver]:
    """Another receiver."""
    other = Receiver()
    yield other
    other.close()


def happen(vm: VirtualMachine | None, code: Code = Code.VM_DOWN, **fields: Any) -> Event:
    """Have something happen."""
    return record(code, "It happened.", vm=vm, **fields)


def make_due() -> None:
    """Let time pass until what waits may be tried again."""
    now = timezone.now()
    WebhookDelivery.objects.filter(state__in=WebhookDelivery.UNDELIVERED).update(due_at=now)
    Webhook.objects.update(not_before=now)


def codes(receiver: Receiver) -> list[int]:
    """Return which events the receiver was told of."""
    return [taken.told["event"]["code"] for taken in receiver.taken]


def states() -> list[str]:
    """Return how far each delivery is, oldest first."""
    return list(WebhookDelivery.objects.order_by("pk").values_list("state", flat=True))


# What is told, and to whom


def test_an_event_is_told_with_all_that_one_needs(
    engine: Engine, vm: VirtualMachine, add: Add, receiver: Receiver
) -> None:
    webhook = add(codes=[Code.VM_REBOOTED])
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert receiver.connections == 0, "the engine speaks to no receiver"
    assert webhooks.deliver_due() == 1
    (taken,) = receiver.taken
    event = Event.objects.get(code=Code.VM_REBOOTED)
    delivery = WebhookDelivery.objects.get()
    assert taken.told == {
        "delivery": str(delivery.key),
        "webhook": "pager",
        "type": "event",
        "event": {
            "id": str(event.pk),
            "code": 157,
            "name": "VM_REBOOTED",
            "severity": "normal",
            "time": event.at.isoformat(),
            "description": event.message,
            "correlation_id": operation.correlation_id,
            "user": "admin",
            "vm": {"id": str(vm.pk), "name": "web01"},
            "job": {"id": str(operation.pk), "action": "reboot"},
        },
    }
    assert taken.headers["Content-Type"] == "application/json"
    assert taken.headers[rules.EVENT] == "157"
    assert taken.headers[rules.DELIVERY] == str(delivery.key)
    assert signed_now(taken, webhook.secret)
    assert (delivery.state, delivery.answer, delivery.attempts) == (State.DELIVERED, "204 No Content", 1)
    assert webhooks.deliver_due() == 0


def signed_now(taken: Taken, secret: str) -> bool:
    """Say whether a request is signed as it should be, within the last minute."""
    signature = taken.headers[rules.SIGNATURE]
    moment = int(signature.removeprefix("t=").partition(",")[0])
    now = timezone.now().timestamp()
    return signature == rules.signature(secret, moment, taken.body) and now - 60 < moment <= now


def test_the_check_in_the_documentation_takes_what_is_genuine_and_nothing_else(
    vm: VirtualMachine, add: Add, receiver: Receiver
) -> None:
    found = re.search(r"```python\n(.*?)```", _DOCS.read_text(), re.DOTALL)
    assert found is not None
    example: dict[str, Any] = {}
    exec(found.group(1), example)
    webhook = add()
    happen(vm)
    webhooks.deliver_due()
    (taken,) = receiver.taken
    genuine, signature = example["genuine"], taken.headers[rules.SIGNATURE]
    assert genuine(webhook.secret, signature, taken.body)
    assert not genuine(webhook.secret, signature, taken.body + b" ")
    assert not genuine("another", signature, taken.body)
    old = rules.signature(webhook.secret, int(timezone.now().timestamp()) - 3600, taken.body)
    assert not genuine(webhook.secret, old, taken.body)
    for nonsense in ("", "t=,v1=", "v1=x", "t=now,v1=x", signature.replace("v1", "v0")):
        assert not genuine(webhook.secret, nonsense, taken.body)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"codes": []}, [61, 33, 119]),
        ({"codes": [Code.VM_DOWN, Code.VM_DOWN_WITH_ERROR]}, [61, 119]),
        ({"codes": [], "severity": "warning"}, [33, 119]),
        ({"codes": [], "severity": "error"}, [119]),
        ({"codes": [Code.VM_DOWN], "severity": "error"}, []),
        ({"codes": [], "active": False}, []),
    ],
)
def test_one_is_told_of_the_kinds_one_chose(
    vm: VirtualMachine, add: Add, receiver: Receiver, chosen: dict[str, Any], told: list[int]
) -> None:
    add(**chosen)
    WebhookDelivery.objects.all().delete()  # that of its own addition
    happen(vm)
    happen(vm, Code.VM_POWERED_OFF, severity=Event.Severity.WARNING)
    happen(vm, Code.VM_DOWN_WITH_ERROR, severity=Event.Severity.ERROR)
    webhooks.deliver_due()
    assert codes(receiver) == told


def test_one_is_told_of_the_tags_one_chose_and_once(engine: Engine, add: Add, receiver: Receiver) -> None:
    tagged, plain = engine.define_all([OBEDIENT] * 2)
    actions.set_tags(engine.admin, tagged, ["production", "web"])
    add(tags=tuple(Tag.objects.all()))
    for vm in (tagged, plain, None):
        happen(vm)
    webhooks.deliver_due()
    assert [taken.told["event"]["vm"]["name"] for taken in receiver.taken] == [tagged.name]
    # A tag that is gone is on no VM; that none are left does not mean all.
    Tag.objects.all().delete()
    happen(tagged)
    happen(plain)
    assert webhooks.deliver_due() == 0


def test_nothing_is_told_that_the_owner_may_not_see(
    vm: VirtualMachine, add: Add, ada: User, person: Person, receiver: Receiver
) -> None:
    add("blind", person("add_webhook", name="blind"))
    add("half", person("add_webhook", "view_vm", name="half"))
    add("gone", person("add_webhook", "view_vm", "view_event", name="gone"))
    User.objects.filter(username="gone").update(is_active=False)
    add()
    happen(vm)
    # A right that was taken away after the delivery was written counts, too.
    ada.user_permissions.remove(Permission.objects.get(codename="view_event"))
    assert webhooks.deliver_due() == 0
    assert receiver.connections == 0
    assert states() == [State.WITHHELD] * 4


def test_one_is_told_of_the_vms_one_sees_and_of_the_portal_who_sees_all(
    engine: Engine, add: Add, person: Person, receiver: Receiver
) -> None:
    seen, hidden = engine.define_all([OBEDIENT] * 2)
    owner = person("add_webhook", name="pia")
    role = Role.objects.create(name="sees")
    role.verbs.set(Permission.objects.filter(codename__in=("view_vm", "view_event")))
    Assignment.objects.create(role=role, user=owner, vm=seen)
    add(owner=owner)
    for vm in (seen, hidden, None):
        happen(vm)
    assert webhooks.deliver_due() == 1
    assert receiver.taken[0].told["event"]["vm"]["id"] == str(seen.pk)
    assert states() == [State.DELIVERED, State.WITHHELD, State.WITHHELD]


def test_a_delivery_is_written_with_its_event_or_not_at_all(vm: VirtualMachine, add: Add) -> None:
    add()

    def happen_and_die() -> None:
        with transaction.atomic():
            happen(vm)
            assert WebhookDelivery.objects.count() == 1
            raise RuntimeError("the worker dies")

    with pytest.raises(RuntimeError, match="the worker dies"):
        happen_and_die()
    assert not WebhookDelivery.objects.exists()


def test_this_machine_and_its_networks_are_not_posted_to_unless_that_is_allowed(
    vm: VirtualMachine, add: Add, receiver: Receiver, settings: Any
) -> None:
    settings.PORTAL_WEBHOOKS_PRIVATE = False
    add()
    happen(vm)
    assert webhooks.deliver_due() == 0
    assert receiver.connections == 0
    delivery = WebhookDelivery.objects.get()
    assert delivery.state == State.WAITING
    assert "PORTAL_WEBHOOKS_PRIVATE" in delivery.answer


# What can go wrong


def test_what_was_not_taken_comes_again_under_the_same_id(vm: VirtualMachine, add: Add, receiver: Receiver) -> None:
    webhook = add()
    happen(vm)
    receiver.temper = Temper.BROKEN
    assert webhooks.deliver_due() == 0
    assert webhooks.deliver_due() == 0, "it is not due yet"
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.answer) == (State.WAITING, "500 Internal Server Error")
    assert delivery.due_at > timezone.now() + timedelta(seconds=50)
    receiver.temper = Temper.OBEDIENT
    make_due()
    assert webhooks.deliver_due() == 1
    first, second = receiver.taken
    assert first.headers[rules.DELIVERY] == second.headers[rules.DELIVERY]
    assert first.body == second.body
    assert (first.headers[rules.ATTEMPT], second.headers[rules.ATTEMPT]) == ("1", "2")
    webhook.refresh_from_db()
    assert (webhook.failures, webhook.failing_since) == (0, None)


@pytest.mark.parametrize("temper", [Temper.BROKEN, Temper.HANGS_UP])
def test_a_receiver_in_trouble_is_left_alone_for_growing_times_whatever_waits(
    vm: VirtualMachine, add: Add, receiver: Receiver, temper: Temper
) -> None:
    webhook = add()
    events = [happen(vm) for _ in range(3)]
    receiver.temper = temper
    for attempt in range(1, 4):
        webhooks.deliver_due()
        assert receiver.connections == attempt, "one delivery finds out for all"
        webhook.refresh_from_db()
        assert webhook.failures == attempt
        assert webhook.not_before > timezone.now() + rules.retry_gap(attempt) - timedelta(seconds=30)
        make_due()
    receiver.taken.clear()
    receiver.temper = Temper.OBEDIENT
    assert webhooks.deliver_due() == 3
    assert [taken.told["event"]["id"] for taken in receiver.taken] == [str(event.pk) for event in events]


def test_a_delivery_that_is_refused_holds_up_no_other(vm: VirtualMachine, add: Add, receiver: Receiver) -> None:
    add()
    for _ in range(2):
        happen(vm)
    receiver.temper = Temper.REFUSES
    webhooks.deliver_due()
    assert receiver.connections == 2
    receiver.temper = Temper.OBEDIENT
    happen(vm)
    assert webhooks.deliver_due() == 1


def test_a_receiver_in_trouble_holds_up_no_other_receiver_and_all_have_their_turn(
    vm: VirtualMachine, add: Add, receiver: Receiver, other: Receiver
) -> None:
    add("broken")
    add("sound", url=other.url)
    for _ in range(3):
        happen(vm)
    receiver.temper = Temper.HANGS_UP
    assert webhooks.deliver_due() == 3
    assert (receiver.connections, len(other.taken)) == (1, 3)
    receiver.temper = Temper.OBEDIENT
    make_due()
    happen(vm)
    first = Webhook.objects.order_by("tried_at").values_list("name", flat=True)[0]
    claimed = webhooks._claim_next()
    assert claimed is not None
    assert claimed.webhook.name == first == "broken"
    claimed = webhooks._claim_next()
    assert claimed is not None
    assert claimed.webhook.name == "sound"


def test_a_webhook_that_takes_nothing_for_days_is_switched_off_with_one_event(
    vm: VirtualMachine, add: Add, ada: User, receiver: Receiver
) -> None:
    webhook = add()
    add("listener", codes=[Code.WEBHOOK_DISABLED])
    for _ in range(3):
        happen(vm)
    receiver.temper = Temper.HANGS_UP
    webhooks.deliver_due()
    Webhook.objects.filter(pk=webhook.pk).update(failing_since=timezone.now() - rules.GIVE_UP_AFTER)
    make_due()
    webhooks.deliver_due()
    webhook.refresh_from_db()
    assert not webhook.active
    (told,) = Event.objects.filter(code=Code.WEBHOOK_DISABLED)
    assert told.severity == Event.Severity.WARNING
    assert "Webhook pager was switched off: it has taken nothing for 3 days, and 3 deliveries" in told.message
    assert set(webhook.deliveries.values_list("state", flat=True)) == {State.GIVEN_UP}
    receiver.temper = Temper.OBEDIENT
    make_due()
    assert webhooks.deliver_due() == 1
    assert codes(receiver)[-1] == Code.WEBHOOK_DISABLED, "another webhook tells of it"
    # Switched on again, it is tried at once, and what went before counts no more.
    webhook.active = True
    actions.change_webhook(ada, webhook, [])
    happen(vm)
    assert webhooks.deliver_due() == 1
    assert Event.objects.filter(code=Code.WEBHOOK_DISABLED).count() == 1


def test_what_cannot_be_delivered_for_days_is_given_up_with_one_event(
    vm: VirtualMachine, add: Add, receiver: Receiver
) -> None:
    add()
    for _ in range(2):
        happen(vm)
    WebhookDelivery.objects.update(created_at=timezone.now() - rules.GIVE_UP_AFTER)
    assert webhooks.deliver_due() == 0
    assert receiver.connections == 0
    told = Event.objects.get(code=Code.WEBHOOK_FAILED)
    assert told.message == "2 deliveries to webhooks could not be made within 3 days and were given up."


def test_a_sender_that_is_killed_leaves_its_delivery_to_the_next(
    vm: VirtualMachine, add: Add, receiver: Receiver
) -> None:
    add()
    happen(vm)

    def claim() -> None:
        assert webhooks._claim_next() is not None

    with forked(claim):
        pass
    assert states() == [State.SENDING]
    assert webhooks.deliver_due() == 0, "its sender may live yet"
    make_due()
    assert webhooks.deliver_due() == 1
    assert receiver.taken[0].headers[rules.ATTEMPT] == "2"


def test_senders_that_meet_deliver_each_event_once(vm: VirtualMachine, add: Add, receiver: Receiver) -> None:
    add()
    for _ in range(6):
        happen(vm)
    assert sum(at_once([webhooks.deliver_due] * 4)) == 6
    ids = [taken.headers[rules.DELIVERY] for taken in receiver.taken]
    assert len(set(ids)) == len(ids) == 6


def test_a_webhook_that_is_removed_takes_what_waits_with_it(
    vm: VirtualMachine, add: Add, ada: User, receiver: Receiver
) -> None:
    webhook = add()
    happen(vm)
    delivery = webhooks._claim_next()
    assert delivery is not None
    receiver.temper = Temper.BROKEN
    actions.remove_webhook(ada, webhook)
    webhooks._post(delivery)
    assert not WebhookDelivery.objects.exists()
    assert Event.objects.filter(code=Code.WEBHOOK_REMOVED).exists()


def test_an_event_stays_until_it_is_told_and_deliveries_go_after_a_month(
    vm: VirtualMachine, add: Add, receiver: Receiver
) -> None:
    add()
    old = happen(vm)
    long_ago = timezone.now() - timedelta(days=400)
    Event.objects.filter(pk=old.pk).update(at=long_ago)
    retention.clean_up()
    assert Event.objects.filter(pk=old.pk).exists()
    webhooks.deliver_due()
    retention.clean_up()
    assert not Event.objects.filter(pk=old.pk).exists()
    happen(vm)
    webhooks.deliver_due()
    WebhookDelivery.objects.update(created_at=timezone.now() - timedelta(days=31))
    assert retention.clean_up().deliveries == 1
    assert not WebhookDelivery.objects.exists()


# Who may have webhooks


def test_only_ones_own_webhooks_are_changed_as_they_tell_what_one_may_see(
    add: Add, engine: Engine, person: Person, receiver: Receiver
) -> None:
    webhook = add("admins", engine.admin)
    bob = person("add_webhook", "change_webhook", name="bob")
    webhook.url = "https://bob.example.org/"
    for attempt in (
        lambda: actions.change_webhook(bob, webhook, []),
        lambda: actions.renew_webhook_secret(bob, webhook),
        lambda: actions.send_test(bob, webhook),
        lambda: actions.remove_webhook(bob, webhook),
    ):
        with pytest.raises(PermissionDenied):
            attempt()
    stored = Webhook.objects.get()
    assert (stored.url, stored.secret) == (receiver.url, webhook.secret)
    assert not WebhookDelivery.objects.exists()


def test_who_may_not_adds_no_webhook(person: Person) -> None:
    with pytest.raises(PermissionDenied):
        actions.add_webhook(person("view_event"), Webhook(name="x", url="https://example.org/"), [])


def test_who_may_change_everything_changes_the_webhook_of_anybody(add: Add, engine: Engine, ada: User) -> None:
    webhook = add()
    webhook.severity = Event.Severity.ERROR
    webhook.owner = engine.admin
    actions.change_webhook(engine.admin, webhook, [])
    stored = Webhook.objects.get()
    assert (stored.severity, stored.owner) == ("error", ada), "it stays whose it is"
    assert Event.objects.get(code=Code.WEBHOOK_UPDATED).actor == engine.admin


def test_a_url_that_is_none_is_not_stored(add: Add) -> None:
    with pytest.raises(WebhookError):
        add(url="ftp://example.org/")
    assert not Webhook.objects.exists()


def test_no_event_tells_the_path_of_a_webhook(add: Add, ada: User) -> None:
    webhook = add(url="https://hooks.example.org/services/key-of-mine")
    actions.change_webhook(ada, webhook, [])
    told = Event.objects.filter(code__in=(Code.WEBHOOK_ADDED, Code.WEBHOOK_UPDATED)).values_list("message", flat=True)
    assert all("hooks.example.org" in message and "key-of-mine" not in message for message in told)
    assert len(told) == 2


def test_a_new_secret_signs_from_now_on(vm: VirtualMachine, add: Add, ada: User, receiver: Receiver) -> None:
    webhook = add()
    before = webhook.secret
    secret = actions.renew_webhook_secret(ada, webhook)
    assert secret != before
    happen(vm)
    webhooks.deliver_due()
    assert signed_now(receiver.taken[0], secret)
    assert not signed_now(receiver.taken[0], before)


def test_a_test_is_sent_even_to_a_receiver_that_is_left_alone(
    vm: VirtualMachine, add: Add, ada: User, receiver: Receiver
) -> None:
    webhook = add()
    happen(vm)
    receiver.temper = Temper.HANGS_UP
    webhooks.deliver_due()
    receiver.temper = Temper.OBEDIENT
    receiver.taken.clear()
    delivery = actions.send_test(ada, webhook)
    assert webhooks.deliver_due() == 1
    (taken,) = receiver.taken
    assert taken.told == {"delivery": str(delivery.key), "webhook": "pager", "type": "test"}
    assert taken.headers[rules.EVENT] == "test"
    webhook.refresh_from_db()
    webhook.active = False
    actions.change_webhook(ada, webhook, [])
    with pytest.raises(actions.Refused, match="switched off"):
        actions.send_test(ada, webhook)


def test_a_host_that_goes_away_is_told_of_without_a_vm(engine: Engine, add: Add, receiver: Receiver) -> None:
    add(codes=[Code.HOST_FAILURE])
    record(Code.HOST_FAILURE, "fake does not answer.", host=Host.objects.get(), severity=Event.Severity.ERROR)
    assert webhooks.deliver_due() == 1
    assert "vm" not in receiver.taken[0].told["event"]

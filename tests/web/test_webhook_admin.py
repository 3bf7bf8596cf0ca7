"""Webhooks in Django admin: one's own, with a secret that is shown once."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.support.scene import LogIn
from vms import actions
from vms.models import Event, Tag, VirtualMachine, Webhook, WebhookDelivery

FORM = {"name": "pager", "url": "https://hooks.example.org/key", "codes": ["61", "119"], "severity": "warning"}


@pytest.fixture
def client(admin: User, log_in: LogIn) -> Client:
    """The browser of somebody in the group Administrator, who may enter Django admin."""
    admin.is_staff = True
    admin.save()
    return log_in(admin)


def url(page: str, *args: object) -> str:
    """Return the address of an admin page of webhooks."""
    return reverse(f"admin:vms_webhook_{page}", args=args)


def chosen(action: str, *webhooks: Webhook) -> dict[str, Any]:
    """Return what choosing an action in the list sends."""
    return {"action": action, "_selected_action": [str(webhook.pk) for webhook in webhooks]}


def webhook_of(owner: User, name: str = "theirs") -> Webhook:
    """Make a webhook of somebody."""
    owner.is_superuser = True
    webhook = Webhook(name=name, url="https://hooks.example.org/their-key")
    actions.add_webhook(owner, webhook, [])
    return webhook


def test_a_webhook_is_added_and_its_secret_shown_this_once(client: Client, admin: User, vm: VirtualMachine) -> None:
    tag = Tag.objects.create(name="web")
    answer = client.post(url("add"), FORM | {"tags": [tag.pk], "active": "on"})
    webhook = Webhook.objects.get()
    assert (webhook.owner, webhook.codes, webhook.severity, webhook.active) == (admin, [61, 119], "warning", True)
    assert (list(webhook.tags.all()), webhook.tagged_only) == ([tag], True)
    assert webhook.secret in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    Event.objects.create(code=61, message="x", vm=vm)
    for page in (url("changelist"), url("change", webhook.pk), url("history", webhook.pk)):
        assert webhook.secret not in client.get(page).content.decode()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": "https://me:secret@example.org/"}, "url"),
        ({"codes": ["1"]}, "codes"),
        ({"severity": "dire"}, "severity"),
        ({"name": ""}, "name"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(client: Client, wrong: dict[str, Any], field: str) -> None:
    answer = client.post(url("add"), FORM | wrong)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors[field]
    assert not Webhook.objects.exists()


def test_a_webhook_is_changed_and_removed_with_its_events(client: Client, admin: User) -> None:
    client.post(url("add"), FORM | {"active": "on"})
    webhook = Webhook.objects.get()
    assert client.post(url("change", webhook.pk), FORM | {"codes": [], "name": "chat"}).status_code == 302
    webhook.refresh_from_db()
    assert (webhook.name, webhook.codes, webhook.active) == ("chat", [], False)
    WebhookDelivery.objects.create(webhook=webhook)
    assert client.post(url("delete", webhook.pk), {"post": "yes"}).status_code == 302
    assert not Webhook.objects.exists()
    assert list(Event.objects.order_by("id").values_list("code", flat=True)) == [100060, 100061, 100062]


def test_a_test_is_sent_and_its_answer_shown(client: Client) -> None:
    client.post(url("add"), FORM | {"active": "on"})
    webhook = Webhook.objects.get()
    assert client.post(url("changelist"), chosen("send_test", webhook)).status_code == 302
    delivery = WebhookDelivery.objects.get()
    assert delivery.event is None
    WebhookDelivery.objects.filter(pk=delivery.pk).update(answer="418 <b>teapot</b>")
    page = client.get(url("change", webhook.pk)).content.decode()
    assert "418 &lt;b&gt;teapot&lt;/b&gt;" in page


def test_a_new_secret_is_shown_once(client: Client) -> None:
    client.post(url("add"), FORM)
    webhook = Webhook.objects.get()
    answer = client.post(url("changelist"), chosen("renew_secret", webhook))
    renewed = Webhook.objects.get().secret
    assert renewed != webhook.secret
    assert renewed in answer.content.decode()


def test_somebody_elses_is_seen_without_its_url_and_not_changed(client: Client, admin: User, outsider: User) -> None:
    theirs = webhook_of(outsider)
    page = client.get(url("change", theirs.pk))
    assert page.status_code == 200
    assert "their-key" not in page.content.decode()
    assert client.post(url("change", theirs.pk), FORM).status_code == 403
    client.post(url("changelist"), chosen("send_test", theirs))
    assert client.post(url("changelist"), chosen("renew_secret", theirs)).status_code == 403
    assert not WebhookDelivery.objects.filter(event=None).exists()
    stored = Webhook.objects.get()
    assert (stored.url, stored.secret) == (theirs.url, theirs.secret)


def test_who_was_given_nothing_about_webhooks_finds_none(log_in: LogIn, viewer: User, outsider: User) -> None:
    theirs = webhook_of(outsider)
    viewer.is_staff = True
    viewer.save()
    client = log_in(viewer)
    for page in (url("changelist"), url("add"), url("change", theirs.pk)):
        assert client.get(page).status_code == 403

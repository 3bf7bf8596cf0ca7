"""Having events posted somewhere: adding, changing and removing webhooks, new secrets, and tests."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from vms import permissions
from vms.actions.common import Refused
from vms.domain import webhook as rules
from vms.engine.records import Code, record
from vms.models import Tag, Webhook, WebhookDelivery

#: What somebody chooses of a webhook, besides its tags.
_CHOSEN = ("name", "url", "codes", "severity", "active")


def event_kinds() -> list[tuple[int, str]]:
    """Return the events that a webhook can be told of: code and name."""
    return [(int(code), code.name) for code in sorted(Code)]


@transaction.atomic
def add_webhook(actor: User, webhook: Webhook, tags: Iterable[Tag]) -> None:
    """Have events posted to a new webhook: its secret is made, and its owner is who adds it.

    Args:
        webhook: Not saved yet.
        tags: Only events of VMs with one of them; none are all events.

    Raises:
        PermissionDenied: The actor may not.
        WebhookError: The URL is not one to post to.
    """
    permissions.require(permissions.may_add_webhook(actor))
    host = rules.target(webhook.url).host
    webhook.owner, webhook.secret = actor, rules.new_secret()
    _save(webhook, tags)
    message = f"Webhook {webhook.name} was added by {actor.get_username()}. It posts to {host}."
    record(Code.WEBHOOK_ADDED, message, actor=actor)


@transaction.atomic
def change_webhook(actor: User, webhook: Webhook, tags: Iterable[Tag]) -> None:
    """Change a webhook to what `webhook` says now. Whatever failed before is forgotten: it is tried at once.

    Raises:
        PermissionDenied: It is not the actor's own.
        WebhookError: The URL is not one to post to.
    """
    host = rules.target(webhook.url).host
    stored = _locked(webhook)
    permissions.require(permissions.may_change_webhook(actor, stored))
    for name in _CHOSEN:
        setattr(stored, name, getattr(webhook, name))
    stored.forgive()
    _save(stored, tags)
    state = "active" if stored.active else "switched off"
    message = f"Webhook {stored.name} was changed by {actor.get_username()}. It is {state} and posts to {host}."
    record(Code.WEBHOOK_UPDATED, message, actor=actor)


@transaction.atomic
def remove_webhook(actor: User, webhook: Webhook) -> None:
    """Have nothing more posted to a webhook, not even what waits.

    Raises:
        PermissionDenied: The actor may not.
    """
    permissions.require(permissions.may_remove_webhook(actor))
    webhook.delete()
    message = f"Webhook {webhook.name} was removed by {actor.get_username()}."
    record(Code.WEBHOOK_REMOVED, message, actor=actor)


@transaction.atomic
def renew_webhook_secret(actor: User, webhook: Webhook) -> str:
    """Give a webhook a new secret, and return it: it is never shown again. The old one signs nothing from now on.

    Raises:
        PermissionDenied: It is not the actor's own.
    """
    stored = _locked(webhook)
    permissions.require(permissions.may_change_webhook(actor, stored))
    stored.secret = rules.new_secret()
    stored.save(update_fields=["secret"])
    message = f"Webhook {stored.name} was given a new secret by {actor.get_username()}."
    record(Code.WEBHOOK_UPDATED, message, actor=actor)
    return stored.secret


@transaction.atomic
def send_test(actor: User, webhook: Webhook) -> WebhookDelivery:
    """Have a test delivered soon, even to a receiver that is being left alone for a while.

    Raises:
        PermissionDenied: It is not the actor's own.
        Refused: It is switched off.
    """
    stored = _locked(webhook)
    permissions.require(permissions.may_change_webhook(actor, stored))
    if not stored.active:
        raise Refused(_("The webhook is switched off."))
    Webhook.objects.filter(pk=stored.pk).update(not_before=stored.created_at)
    return WebhookDelivery.objects.create(webhook=stored)


def _locked(webhook: Webhook) -> Webhook:
    return Webhook.objects.select_for_update().get(pk=webhook.pk)


def _save(webhook: Webhook, tags: Iterable[Tag]) -> None:
    chosen = list(tags)
    webhook.tagged_only = bool(chosen)
    webhook.save()
    webhook.tags.set(chosen)

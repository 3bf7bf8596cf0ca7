"""The hosts that the portal manages: testing a connection, adding, changing and removing one."""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from vms import permissions
from vms.actions.common import Actor, Refused
from vms.domain import host_uri
from vms.engine import adding, configuring, sync
from vms.engine.records import Code, record
from vms.models import Host, HostCheck, Operation, VirtualMachine

#: Tests are thrown away after this long.
_CHECKS_KEPT = timedelta(days=1)


class HostTaken(Refused):
    """Another host has this name or this URI.

    Attributes:
        field: `name` or `uri`.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def check_host(actor: Actor, *, name: str, uri: str, host: Host | None = None) -> HostCheck:
    """Have a connection tested. The watcher does it; the test's row tells its result.

    Args:
        host: The one that is to be changed; None for a new one.

    Raises:
        PermissionDenied: The actor may not add or change hosts.
        HostUriError: No host may have this URI.
        HostTaken: Another host has this name or URI.
    """
    permissions.require(permissions.may_add_host(actor) if host is None else permissions.may_change_host(actor))
    parts = host_uri.parse(uri)
    _require_free(name, parts.text, host)
    HostCheck.objects.filter(created_at__lt=timezone.now() - _CHECKS_KEPT).delete()
    return HostCheck.objects.create(host=host, name=name, uri=parts.text)


def add_host(actor: Actor, *, name: str, uri: str) -> Host:
    """Have the portal manage a host; one that was removed comes back with its VMs and their history.

    Raises:
        PermissionDenied: The actor may not add hosts.
        HostUriError: No host may have this URI.
        HostTaken: Another host has this name or URI.
    """
    permissions.require(permissions.may_add_host(actor))
    uri = host_uri.parse(uri).text
    try:
        with transaction.atomic():
            _require_free(name, uri, None)
            host, _created = Host.objects.update_or_create(
                uri=uri,
                defaults={
                    "name": name,
                    "removed_at": None,
                    "state": Host.State.NEW,
                    "error": "",
                    "watched_until": None,
                },
            )
            record(Code.HOST_ADDED, f"Host {name} ({uri}) was added by {actor.get_username()}.", host=host, actor=actor)
    except IntegrityError:
        # Somebody else was quicker.
        _require_free(name, uri, None)
        raise
    return host


def change_host(actor: Actor, host: Host, *, name: str, uri: str) -> None:
    """Rename a host, or have it reached another way.

    Raises:
        PermissionDenied: The actor may not change hosts.
        HostUriError: No host may have this URI.
        HostTaken: Another host has this name or URI.
        Refused: It was removed meanwhile, or operations that are running would end up elsewhere.
    """
    permissions.require(permissions.may_change_host(actor))
    uri = host_uri.parse(uri).text
    with transaction.atomic():
        row = _locked(host)
        was = (row.name, row.uri)
        if was == (name, uri):
            return
        _require_free(name, uri, row)
        row.name = name
        if row.uri != uri:
            _require_idle(row, _("The address of %(host)s cannot be changed now.") % {"host": was[0]})
            row.uri, row.state, row.error, row.watched_until = uri, Host.State.NEW, "", None
        row.save()
        message = f"Host {was[0]} ({was[1]}) was changed to {name} ({uri}) by {actor.get_username()}."
        record(Code.HOST_UPDATED, message, host=row, actor=actor)
    host.name, host.uri = name, uri


def remove_host(actor: Actor, host: Host) -> None:
    """Have the portal manage a host no more. Nothing changes on the host itself; all history is kept.

    Its VMs are shown no longer. When the host is added again they are back, with their policies and operations.

    Raises:
        PermissionDenied: The actor may not remove hosts.
        Refused: Operations are running on it, or it was removed already.
    """
    permissions.require(permissions.may_remove_host(actor))
    with transaction.atomic():
        row = _locked(host)
        _require_idle(row, _("%(host)s cannot be removed now.") % {"host": row.name})
        row.removed_at, row.watched_until = timezone.now(), None
        row.save()
        sync.host_removed(row)
        for each in (adding, configuring):
            each.give_up(row, _("The host was removed from the portal."))
        record(Code.HOST_REMOVED, f"Host {row.name} was removed by {actor.get_username()}.", host=row, actor=actor)


def _locked(host: Host) -> Host:
    row = Host.objects.managed().select_for_update().filter(pk=host.pk).first()
    if row is None:
        raise Refused(_("%(host)s was removed meanwhile.") % {"host": host.name})
    return row


def _require_idle(host: Host, refusal: str) -> None:
    """Refuse while operations are running on a host, and let none be accepted until the transaction ends."""
    list(VirtualMachine.objects.select_for_update().filter(host=host).values_list("pk"))
    running = Operation.objects.filter(vm__host=host).active().count()
    if running:
        why = ngettext(
            "%(count)s operation is running on it: wait for its end, or cancel it.",
            "%(count)s operations are running on it: wait for their end, or cancel them.",
            running,
        ) % {"count": running}
        raise Refused(f"{refusal} {why}")


def _require_free(name: str, uri: str, host: Host | None) -> None:
    """Refuse a name or URI that another host has. A removed one's URI is free for adding it again, and no more."""
    managed = Host.objects.managed()
    others = managed if host is None else managed.exclude(pk=host.pk)
    if others.filter(name=name).exists():
        raise HostTaken("name", _("There is a host of this name already."))
    same = others.filter(uri=uri).first()
    if same is not None:
        raise HostTaken("uri", _("This URI is managed already, as %(host)s.") % {"host": same.name})
    if host is not None and (removed := Host.objects.filter(uri=uri, removed_at__isnull=False).first()):
        # Its VMs' history is its own.
        raise HostTaken("uri", _("This URI belonged to %(host)s. Add it as a host.") % {"host": removed.name})

"""Who may use a console: asked when it opens, and again every few seconds while it is open."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.http import is_same_domain

from vms import permissions, sessions, tickets
from vms.engine.records import Code, record
from vms.models import VirtualMachine


@dataclass(frozen=True, slots=True)
class Pass:
    """What somebody has shown who may use a console.

    Attributes:
        session: The key of their session.
        vm: With its host.
    """

    session: str
    user: User
    vm: VirtualMachine
    correlation_id: str


def from_our_page(headers: dict[str, str]) -> bool:
    """Say whether a page of ours opens a WebSocket: browsers name the page's origin, and pages cannot forge it."""
    origin = urlsplit(headers.get("origin", ""))
    if not origin.netloc:
        return False
    if origin.netloc == headers.get("host", ""):
        return True
    for each in map(urlsplit, settings.CSRF_TRUSTED_ORIGINS):
        if origin.scheme == each.scheme and is_same_domain(origin.netloc, each.netloc.removeprefix("*")):
            return True
    return False


def admitted(secret: str, cookies: str) -> Pass | None:
    """Return who comes with a ticket, and for which VM; None unless it is good, theirs, and they may use the console.

    The ticket is used up whatever comes of it.

    Raises:
        RedisError: Nobody can tell whether it is good.
        DatabaseError: Nobody can tell who they are.
    """
    ticket = tickets.take(secret)
    session = sessions.session_of(sessions.cookies_of(cookies))
    if ticket is None or session is None or tickets.fingerprint(session) != ticket.session:
        return None
    user = sessions.user_of(session)
    vm = _vm(ticket.vm)
    if user is None or user.pk != ticket.user or vm is None or not permissions.may_use_console(user, vm):
        return None
    return Pass(session, user, vm, ticket.correlation_id)


def still_admitted(shown: Pass) -> bool:
    """Say whether somebody may still use the console that they opened.

    Raises:
        DatabaseError: Nobody can tell.
    """
    user, vm = sessions.user_of(shown.session), _vm(str(shown.vm.pk))
    if user is None or user.pk != shown.user.pk or vm is None:
        return False
    return permissions.may_use_console(user, vm)


def record_opened(shown: Pass) -> None:
    """Say who looks at a VM's screen, and may type into it."""
    record(
        Code.CONSOLE_OPENED,
        f"{shown.user.get_username()} opened the console of {shown.vm.name}.",
        vm=shown.vm,
        actor=shown.user,
        correlation_id=shown.correlation_id,
    )


def record_closed(shown: Pass) -> None:
    """Say that they do so no more."""
    record(
        Code.CONSOLE_CLOSED,
        f"The console of {shown.vm.name} that {shown.user.get_username()} had opened was closed.",
        vm=shown.vm,
        actor=shown.user,
        correlation_id=shown.correlation_id,
    )


def _vm(pk: str) -> VirtualMachine | None:
    listed = VirtualMachine.objects.filter(removed_at__isnull=True, host__removed_at__isnull=True)
    return listed.select_related("host").filter(pk=pk).first()

"""The hosts, as the watcher last saw them; adding, changing and removing them.

A page never connects to a host. A test of a connection is a row that the watcher carries out, and a page that is read
again until the row has its result.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from vms import actions, permissions, queries
from vms.models import Host, HostCheck
from vms.web import answers
from vms.web.access import Request, needs
from vms.web.host_form import HostForm

#: The watcher takes a test up within a second; after this long nobody seems to.
_NOBODY_TESTS_AFTER = timedelta(seconds=10)


@require_safe
@needs(permissions.VIEW_HOSTS)
def host_list(request: Request) -> HttpResponse:
    """The page of hosts."""
    return render(request, "hosts/host_list.html", {"hosts": queries.hosts(request.user), "now": timezone.now()})


@require_safe
@needs(permissions.VIEW_HOSTS)
def host_table(request: Request) -> HttpResponse:
    """Their table alone."""
    return render(
        request, "hosts/fragments/host_table.html", {"hosts": queries.hosts(request.user), "now": timezone.now()}
    )


@require_http_methods(["GET", "HEAD", "POST"])
@needs(permissions.ADD_HOST)
def host_add(request: Request) -> HttpResponse:
    """Ask for name and URI of a new host, and have the connection tested."""
    return _test(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(permissions.CHANGE_HOST)
def host_edit(request: Request, host_id: int) -> HttpResponse:
    """Rename a host at once, or have another URI of it tested first."""
    return _test(request, get_object_or_404(Host.objects.managed(), pk=host_id))


def _test(request: Request, host: Host | None) -> HttpResponse:
    initial = {"name": host.name, "uri": host.uri} if host else _tried(request)
    form = HostForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        try:
            if host is not None and form.wanted["uri"] == host.uri:
                actions.change_host(request.user, host, **form.wanted)
                return _done(request, _("%(host)s was changed.") % {"host": host.name})
            check = actions.check_host(request.user, **form.wanted, host=host)
        except actions.HostTaken as taken:
            form.add_taken(taken)
        except actions.Refused as refused:
            form.add_error(None, str(refused))
        else:
            if not request.htmx:
                return redirect("host_check", check.pk)
            return _show_check(request, check)
    context = {
        "form": form,
        "host": host,
        "form_action": reverse("host_edit", args=[host.pk]) if host else reverse("host_add"),
        "cancel_url": reverse("host_list"),
    }
    return _dialog(request, "host_form", context, status=422 if form.errors else 200)


def _tried(request: Request) -> dict[str, str]:
    """What was tested before, where somebody goes back to the form."""
    try:
        check = queries.host_check(UUID(request.GET.get("check", "")))
    except (ValueError, HostCheck.DoesNotExist):
        return {}
    return {"name": check.name, "uri": check.uri}


@require_safe
@needs(permissions.VIEW_HOSTS)
def host_check(request: Request, check_id: UUID) -> HttpResponse:
    """What has come of a test so far."""
    return _show_check(request, _check(request, check_id))


@require_POST
@needs(permissions.VIEW_HOSTS)
def host_check_use(request: Request, check_id: UUID) -> HttpResponse:
    """Add or change the host that was tested, whatever the test said."""
    check = _check(request, check_id)
    try:
        if check.host is None:
            actions.add_host(request.user, name=check.name, uri=check.uri)
            done = _("%(host)s was added.") % {"host": check.name}
        else:
            actions.change_host(request.user, check.host, name=check.name, uri=check.uri)
            done = _("%(host)s was changed.") % {"host": check.name}
    except actions.Refused as refused:
        return _show_check(request, check, refusal=str(refused), status=409)
    return _done(request, done)


def _check(request: Request, check_id: UUID) -> HostCheck:
    """Return a test, to those who may do what it is for."""
    try:
        check = queries.host_check(check_id)
    except HostCheck.DoesNotExist:
        raise Http404(_("There is no such test any more. Begin anew from the page of hosts.")) from None
    adding = check.host is None
    permissions.require(permissions.may_add_host(request.user) if adding else permissions.may_change_host(request.user))
    return check


def _show_check(request: Request, check: HostCheck, *, refusal: str = "", status: int = 200) -> HttpResponse:
    back = reverse("host_edit", args=[check.host_id]) if check.host_id else reverse("host_add")
    context = {
        "check": check,
        "refusal": refusal,
        "back_url": back,
        "nobody_tests": not check.started_at and timezone.now() > check.created_at + _NOBODY_TESTS_AFTER,
        "form_action": reverse("host_check_use", args=[check.pk]),
        "cancel_url": reverse("host_list"),
    }
    return _dialog(request, "host_check", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(permissions.REMOVE_HOST)
def host_remove(request: Request, host_id: int) -> HttpResponse:
    """Say what removing a host means, and do it."""
    host = get_object_or_404(queries.hosts(request.user), pk=host_id)
    refusal = ""
    if request.method == "POST":
        try:
            actions.remove_host(request.user, host)
        except actions.Refused as refused:
            refusal = str(refused)
        else:
            return _done(request, _("%(host)s was removed.") % {"host": host.name})
    context = {
        "host": host,
        "refusal": refusal,
        "form_action": reverse("host_remove", args=[host.pk]),
        "cancel_url": reverse("host_list"),
    }
    return _dialog(request, "host_remove", context, status=409 if refusal else 200)


def _dialog(request: Request, name: str, context: dict[str, Any], status: int) -> HttpResponse:
    template = f"hosts/fragments/{name}.html" if request.htmx else f"hosts/{name}.html"
    return render(request, template, context, status=status)


def _done(request: Request, message: str) -> HttpResponse:
    if not request.htmx:
        messages.success(request, message)
        return redirect("host_list")
    return answers.refresh(answers.close_dialog(answers.toast(HttpResponse(), message)))

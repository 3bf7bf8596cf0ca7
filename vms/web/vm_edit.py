"""Editing a VM, and the portal's default of the power-down policy."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.forms import model_to_dict
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from vms import actions, labels, permissions
from vms.correlation import correlation_id
from vms.domain.errors import ConfigurationError, PolicyError
from vms.domain.tags import TagError
from vms.models import PortalDefaults, VirtualMachine
from vms.web import answers
from vms.web.access import Request, needs
from vms.web.edit_form import EditForm
from vms.web.forms import DefaultsForm
from vms.web.learned import learned_of, typed_delay
from vms.web.vm_frame import row_of
from vms.web.vm_pending import show


@require_http_methods(["GET", "HEAD", "POST"])
@needs(permissions.CHANGE)
def vm_edit(request: Request, vm_id: UUID) -> HttpResponse:
    """Show a VM's configuration and policy, and save what a person changed of them."""
    row = row_of(request, vm_id)
    permissions.require(permissions.may_change(request.user, row.vm))
    default = PortalDefaults.load().setting
    form = EditForm(request.POST if request.method == "POST" else None, row=row, default=default)
    if form.is_valid() and _save(request, row.vm, form):
        return _edited(request, vm_id, form)
    template = "vms/fragments/vm_edit.html" if request.htmx else "vms/vm_edit.html"
    [learned] = learned_of([(row.vm, typed_delay(form["graceful_delay"].value(), default.delay))])
    context = {"vm": row.vm, "form": form, "form_action": reverse("vm_edit", args=[vm_id]), "learned": learned}
    return render(request, template, context, status=422 if form.errors else 200)


def _save(request: Request, vm: VirtualMachine, form: EditForm) -> bool:
    """Save everything or nothing; where it is nothing, the form says why."""
    try:
        actions.edit(
            request.user,
            vm,
            setting=form.setting_change,
            options=form.options,
            values=form.values,
            tags=form.tags_change,
            comment=form.comment_change,
            correlation_id=correlation_id(),
        )
    except PolicyError as error:
        form.add_policy_error(error)
    except ConfigurationError as error:
        form.add_configuration_error(error)
    except TagError as error:
        form.add_error("tags", str(labels.TAG_ERROR[error.code]))
    except actions.Refused as refused:
        form.add_error(None, str(refused))
    return not form.errors


def _edited(request: Request, vm_id: UUID, form: EditForm) -> HttpResponse:
    row = row_of(request, vm_id)
    saved = _("%(vm)s was saved.") % {"vm": row.vm.name}
    if not (form.values and row.changes):
        return _saved(request, saved)
    waits = ngettext(
        "%(count)s change waits for the next cold start.",
        "%(count)s changes wait for the next cold start.",
        len(row.changes),
    ) % {"count": len(row.changes)}
    if request.htmx:
        return answers.refresh(show(request, row, saved=f"{saved} {waits}"))
    messages.success(request, f"{saved} {waits}")
    return redirect("vm_pending", vm_id)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(permissions.CHANGE_DEFAULTS)
def portal_defaults(request: Request) -> HttpResponse:
    """Show and set the policy of VMs that have not set their own, the cap of bulks, and how long history is kept."""
    form = DefaultsForm(
        request.POST if request.method == "POST" else None, initial=model_to_dict(PortalDefaults.load(), exclude=["id"])
    )
    if form.is_valid():
        try:
            with transaction.atomic():
                actions.set_defaults(
                    request.user,
                    force=form.cleaned_data["force"],
                    delay=form.cleaned_data["graceful_delay"],
                    bulk_in_flight=form.cleaned_data["bulk_in_flight"],
                )
                actions.set_retention(request.user, form.keep)
        except PolicyError as error:
            form.add_policy_error(error)
        else:
            return _saved(request, _("The portal's defaults were saved."), to="portal_defaults")
    return render(request, "vms/portal_defaults.html", {"form": form}, status=422 if form.errors else 200)


def _saved(request: Request, message: str, to: str = "vm_list") -> HttpResponse:
    if not request.htmx:
        messages.success(request, message)
        return redirect(to)
    return answers.refresh(answers.close_dialog(answers.toast(HttpResponse(), message)))

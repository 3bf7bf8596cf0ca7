"""Editing a VM's power-down policy, and the portal's default of it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.forms import model_to_dict
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from vms import actions, permissions
from vms.domain.errors import PolicyError
from vms.models import PortalDefaults, VirtualMachine
from vms.web import answers
from vms.web.access import Request, needs
from vms.web.forms import DefaultsForm, VmPolicyForm
from vms.web.learned import learned_of, typed_delay


@require_http_methods(["GET", "HEAD", "POST"])
@needs(permissions.CHANGE)
def vm_edit(request: Request, vm_id: UUID) -> HttpResponse:
    """Show and set a VM's own policy."""
    vm = get_object_or_404(VirtualMachine.objects.select_related("host"), pk=vm_id)
    permissions.require(permissions.may_change(request.user, vm))
    form = VmPolicyForm(
        request.POST if request.method == "POST" else None,
        default=PortalDefaults.load().setting,
        setting=vm.policy_setting,
        tags=vm.tags.values_list("name", flat=True),
    )
    if form.is_valid():
        try:
            with transaction.atomic():
                actions.set_policy(request.user, vm, form.setting)
                actions.set_tags(request.user, vm, form.cleaned_data["tags"])
        except PolicyError as error:
            form.add_policy_error(error)
        else:
            return _saved(request, _("%(vm)s was saved.") % {"vm": vm.name})
    template = "vms/fragments/vm_edit.html" if request.htmx else "vms/vm_edit.html"
    [learned] = learned_of([(vm, typed_delay(form["graceful_delay"].value(), PortalDefaults.load().setting.delay))])
    context = {"vm": vm, "form": form, "form_action": reverse("vm_edit", args=[vm.pk]), "learned": learned}
    return render(request, template, context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(permissions.CHANGE_DEFAULTS)
def portal_defaults(request: Request) -> HttpResponse:
    """Show and set the policy of VMs that have not set their own, and how long history is kept."""
    form = DefaultsForm(
        request.POST if request.method == "POST" else None, initial=model_to_dict(PortalDefaults.load(), exclude=["id"])
    )
    if form.is_valid():
        try:
            with transaction.atomic():
                actions.set_defaults(
                    request.user, force=form.cleaned_data["force"], delay=form.cleaned_data["graceful_delay"]
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

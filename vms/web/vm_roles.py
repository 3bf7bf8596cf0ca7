"""Who may do what on one VM, and giving and taking roles on it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from vms import actions, permissions, vm_queries
from vms.queries import VmRow
from vms.roles import access_of
from vms.web.access import Request, needs
from vms.web.role_form import GiveRoleForm
from vms.web.vm_frame import page_context, row_of


@require_safe
@needs(permissions.VIEW)
def vm_permissions(request: Request, vm_id: UUID) -> HttpResponse:
    """What whoever asks may do, and for those who may know it, everybody else."""
    row = row_of(request, vm_id)
    return render(request, "vms/vm_permissions.html", _context(request, row, GiveRoleForm()))


@require_POST
@needs(permissions.ASSIGN)
def vm_give_role(request: Request, vm_id: UUID) -> HttpResponse:
    """Give a person or group a role on this VM."""
    row = row_of(request, vm_id)
    permissions.require(permissions.may_assign(request.user, row.vm))
    form = GiveRoleForm(request.POST)
    if form.is_valid():
        role, to = form.cleaned_data["role"], form.cleaned_data["to"]
        try:
            actions.give_role(request.user, row.vm, role, to)
        except actions.Refused as refused:
            form.add_error("role", str(refused))
        else:
            said = _("%(to)s has the role %(role)s on %(vm)s.") % {"to": to, "role": role, "vm": row.vm.name}
            messages.success(request, said)
            return redirect("vm_permissions", vm_id)
    return render(request, "vms/vm_permissions.html", _context(request, row, form), status=422)


@require_POST
@needs(permissions.ASSIGN)
def vm_take_role(request: Request, vm_id: UUID, assignment_id: int) -> HttpResponse:
    """Take a role back that was given on this VM."""
    row = row_of(request, vm_id)
    actions.take_role(request.user, row.vm, assignment_id)
    messages.success(request, _("The role was taken back."))
    # Who has taken their own is shown what they still may see.
    still = permissions.may_view(request.user.__class__.objects.get(pk=request.user.pk), row.vm)
    return redirect("vm_permissions", vm_id) if still else redirect("vm_list")


def _context(request: Request, row: VmRow, form: GiveRoleForm) -> dict[str, Any]:
    access = access_of(request.user)
    seen = permissions.may_view_assignments(request.user, row.vm)
    return page_context(request, row, "permissions") | {
        "form": form,
        "mine": vm_queries.verb_names(access.to(row.vm)),
        "everything": access.everything,
        "grants": vm_queries.grants(row.vm) if seen else None,
        "may_assign": permissions.may_assign(request.user, row.vm),
    }

"""A person's own page: where and about what to be mailed, and the password."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from vms import actions, permissions
from vms.web.access import Request, signed_in
from vms.web.account_form import NoticeForm


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def account(request: Request) -> HttpResponse:
    """Show and set one's own notices."""
    form = NoticeForm(request.POST if request.method == "POST" else None, person=request.user)
    if form.is_valid():
        actions.subscribe(request.user, form.cleaned_data["email"], form.wishes)
        messages.success(request, _("Your notices were saved."))
        return redirect("account")
    context = {"form": form, "mails": settings.PORTAL_MAILS, "may_see_vms": permissions.may_view(request.user)}
    return render(request, "account/account.html", context, status=422 if form.errors else 200)


class ChangePassword(PasswordChangeView):
    """Change one's own password, and say on the Account page that it was."""

    template_name = "account/change_password.html"
    success_url = reverse_lazy("account")

    def form_valid(self, form: object) -> HttpResponse:
        """Change it; this session stays, others of the same person end."""
        messages.success(self.request, _("Your password was changed. Other sessions of yours have ended."))
        return super().form_valid(form)  # type: ignore[arg-type]  # Django's types know no form here

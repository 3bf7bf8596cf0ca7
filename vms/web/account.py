"""A person's own page: who they are, how the portal looks for them, how they log in, what they may, their notices."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from vms import actions, permissions, queries
from vms.web.access import Request, signed_in
from vms.web.account_form import NoticeForm, PersonForm
from vms.web.login_form import ChangePasswordForm, PasswordForm


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def account(request: Request) -> HttpResponse:
    """Show one's own page, and set one's own notices."""
    form = NoticeForm(request.POST if request.method == "POST" else None, person=request.user)
    if form.is_valid():
        actions.subscribe(request.user, form.cleaned_data["email"], form.wishes)
        messages.success(request, _("Your notices were saved."))
        return redirect("account")
    context: dict[str, Any] = {
        "form": form,
        "mails": settings.PORTAL_MAILS,
        "may_see_vms": permissions.may_view(request.user),
        "person_form": PersonForm(None, person=request.user),
        "two_factor": queries.two_factor(request.user),
        "sign_ins": queries.sign_ins(request.user),
        "api_tokens": queries.api_tokens(request.user),
        "roles": queries.given_roles(request.user),
        "groups": request.user.groups.order_by("name"),
    }
    return render(request, "account/account.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def person(request: Request) -> HttpResponse:
    """Set one's own name, language, theme and shortcuts."""
    form = PersonForm(request.POST if request.method == "POST" else None, person=request.user)
    if not form.is_valid():
        return render(request, "account/person.html", {"form": form}, status=422 if form.errors else 200)
    actions.set_name(request.user, form.cleaned_data["first_name"], form.cleaned_data["last_name"])
    actions.set_preferences(request.user, **form.preferences)
    # The answer to what was just chosen speaks the language that was chosen.
    with translation.override(form.preferences["language"] or translation.get_language_from_request(request)):
        messages.success(request, _("Your settings were saved."))
    return redirect("account")


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def end_sessions(request: Request) -> HttpResponse:
    """End all of one's sessions but this one."""
    form = PasswordForm(request.POST if request.method == "POST" else None, request=request)
    if not form.is_valid():
        return render(request, "account/end_sessions.html", {"form": form}, status=422 if form.errors else 200)
    actions.end_other_sessions(request.user, form.cleaned_data["password"])
    update_session_auth_hash(request, request.user)
    messages.success(request, _("All other sessions of yours have ended, and your API tokens."))
    return redirect("account")


class ChangePassword(PasswordChangeView):
    """Change one's own password, and say on the Account page that it was."""

    form_class = ChangePasswordForm
    template_name = "account/change_password.html"
    success_url = reverse_lazy("account")

    def get_form_kwargs(self) -> dict[str, Any]:
        """Tell the form who asks from where."""
        kwargs = super().get_form_kwargs()
        del kwargs["user"]
        return kwargs | {"request": self.request}

    def form_valid(self, form: object) -> HttpResponse:
        """Change it; this session stays, others of the same person end."""
        messages.success(
            self.request, _("Your password was changed. Other sessions of yours have ended, and your API tokens.")
        )
        return super().form_valid(form)  # type: ignore[arg-type]  # Django's types know no form here

"""Switching the second factor on and off, and new recovery codes: each wants the password once more."""

from __future__ import annotations

import segno
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from vms import actions, queries
from vms.domain import second_factor
from vms.web.access import Request, signed_in
from vms.web.login_form import EnableForm, PasswordForm

#: Where the secret is kept until a code has shown that the app has it.
_OFFERED = "second_factor_offered"
_ISSUER = "VM Portal"


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def enable(request: Request) -> HttpResponse:
    """Offer a secret as a picture and as text, and switch the second factor on once a code of it was typed."""
    if queries.two_factor(request.user):
        return redirect("account")
    secret = request.session.setdefault(_OFFERED, second_factor.new_secret())
    form = EnableForm(request.POST if request.method == "POST" else None, request=request)
    if form.is_valid():
        codes = actions.enable_second_factor(request.user, secret, form.cleaned_data["code"])
        if codes is not None:
            del request.session[_OFFERED]
            # The others were opened without a code.
            actions.end_other_sessions(request.user, form.cleaned_data["password"])
            update_session_auth_hash(request, request.user)
            return render(request, "account/recovery_codes.html", {"codes": codes, "enabled": True})
        form.add_error("code", _("This code is not right. Look whether the clocks of app and portal agree."))
    uri = second_factor.app_uri(secret, request.user.get_username(), _ISSUER)
    context = {
        "form": form,
        "picture": segno.make(uri, micro=False).svg_data_uri(scale=4, light="#fff"),
        "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
    }
    return render(request, "account/two_factor_enable.html", context, status=422 if form.errors else 200)


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def disable(request: Request) -> HttpResponse:
    """Switch the second factor off."""
    if not queries.two_factor(request.user):
        return redirect("account")
    form = PasswordForm(request.POST if request.method == "POST" else None, request=request)
    if not form.is_valid():
        return render(request, "account/two_factor_disable.html", {"form": form}, status=422 if form.errors else 200)
    actions.disable_second_factor(request.user, by=request.user)
    messages.success(request, _("Two-factor login is off."))
    return redirect("account")


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def recovery_codes(request: Request) -> HttpResponse:
    """Make new recovery codes, and show them this once."""
    if not queries.two_factor(request.user):
        return redirect("account")
    form = PasswordForm(request.POST if request.method == "POST" else None, request=request)
    if not form.is_valid():
        return render(request, "account/renew_recovery_codes.html", {"form": form}, status=422 if form.errors else 200)
    codes = actions.renew_recovery_codes(request.user)
    return render(request, "account/recovery_codes.html", {"codes": codes, "enabled": False})

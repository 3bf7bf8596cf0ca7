"""Making a token for one's own programs, which is shown once, and revoking one."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from vms import actions, queries
from vms.models import ApiToken
from vms.web.access import Request, signed_in
from vms.web.login_form import TokenForm


@sensitive_variables("secret")
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def api_token_make(request: Request) -> HttpResponse:
    """Make a token, and show it this once."""
    form = TokenForm(request.POST if request.method == "POST" else None, request=request)
    if not form.is_valid():
        return render(request, "account/api_token_make.html", {"form": form}, status=422 if form.errors else 200)
    name = form.cleaned_data["name"]
    secret = actions.make_token(request.user, name, timedelta(days=form.cleaned_data["days"]))
    return render(request, "account/api_token_made.html", {"name": name, "secret": secret})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def api_token_revoke(request: Request, token_id: int) -> HttpResponse:
    """Ask whether a token is to be revoked, and revoke it."""
    try:
        token = queries.api_token(request.user, token_id)
    except ApiToken.DoesNotExist:
        raise Http404 from None
    if request.method != "POST":
        return render(request, "account/api_token_revoke.html", {"token": token})
    actions.revoke_token(request.user, token)
    messages.success(request, _("%(name)s was revoked.") % {"name": token})
    return redirect("account")

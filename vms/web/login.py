"""Logging in: name and password, and then a code where the person has switched that on.

Until the code was right nobody is logged in: the session only remembers who has shown their password, and for how long
that is good. Django admin has no login of its own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from django.contrib import admin
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from vms import actions, permissions
from vms.web.login_form import CodeForm, LoginForm

#: Seconds that a password is good for without its code.
_PATIENCE = 600
_KEPT = "password_shown"


@dataclass(frozen=True, slots=True)
class _Shown:
    """That somebody has shown their password, as their session keeps it.

    Attributes:
        bound_to: Changes with the password: whoever changes it meanwhile is not logged in by the old one.
        until: Seconds since 1970.
        wanted: Where they wanted to go.
    """

    person: int
    backend: str
    bound_to: str
    until: float
    wanted: str


class Login(LoginView):
    """The first step."""

    authentication_form = LoginForm
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Log in, or ask for the code."""
        person = form.get_user()
        if not actions.needs_code(person):
            return super().form_valid(form)
        # Whoever has placed this session's cookie in the browser does not learn what becomes of it.
        self.request.session.cycle_key()
        shown = _Shown(
            person=person.pk,
            backend=person.backend,
            bound_to=person.get_session_auth_hash(),
            until=timezone.now().timestamp() + _PATIENCE,
            wanted=self.get_success_url(),
        )
        self.request.session[_KEPT] = asdict(shown)
        return redirect("login_code")


@sensitive_post_parameters("code")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def login_code(request: HttpRequest) -> HttpResponse:
    """The second step: the code of the app, or a recovery code."""
    kept = request.session.get(_KEPT)
    shown = _Shown(**kept) if kept else None
    person = _person(shown) if shown else None
    if shown is None or person is None:
        request.session.pop(_KEPT, None)
        return redirect("login")
    form = CodeForm(request.POST if request.method == "POST" else None, request=request, person=person)
    if form.is_valid():
        del request.session[_KEPT]
        login(request, person, shown.backend)
        return redirect(shown.wanted)
    return render(request, "registration/login_code.html", {"form": form}, status=422 if form.errors else 200)


@require_safe
def admin_login(request: HttpRequest) -> HttpResponse:
    """Lead from Django admin to the login of the portal, and back."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))
    permissions.require(admin.site.has_permission(request))
    return redirect("admin:index")


def _person(shown: _Shown) -> User | None:
    person = User.objects.filter(pk=shown.person, is_active=True).first()
    if person is None or timezone.now().timestamp() > shown.until:
        return None
    return person if constant_time_compare(shown.bound_to, person.get_session_auth_hash()) else None

"""The forms that ask for a password or a code. Each says how long to wait where it was tried too often."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from vms import actions
from vms.domain.api_tokens import LIFETIMES
from vms.web.access import Request


class LoginForm(AuthenticationForm):
    """Name and password."""

    request: HttpRequest

    def clean(self) -> dict[str, Any]:
        """Find out who it is."""
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if name is None or not password:
            return self.cleaned_data
        try:
            self.user_cache = actions.person_of(self.request, name, password)
        except actions.TooSoon as refusal:
            raise _too_soon(refusal) from None
        if self.user_cache is None:
            raise self.get_invalid_login_error()
        self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data


class CodeForm(forms.Form):
    """The second step of logging in."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=32,
        help_text=gettext_lazy("Six digits from the authenticator app, or one of the recovery codes."),
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, request: HttpRequest, person: User, **kwargs: Any) -> None:
        """Ask for the code of a person."""
        super().__init__(*args, **kwargs)
        self._request, self._person = request, person

    def clean_code(self) -> str:
        """Use the code up, if it is good."""
        code: str = self.cleaned_data["code"]
        try:
            good = actions.code_is(self._request, self._person, code)
        except actions.TooSoon as refusal:
            raise _too_soon(refusal) from None
        if not good:
            raise ValidationError(_("This code is not right, or was used already. Wait for the next one."))
        return code


class PasswordForm(forms.Form):
    """Somebody who is logged in shows that it is still them."""

    password = forms.CharField(
        label=gettext_lazy("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, request: Request, **kwargs: Any) -> None:
        """Ask whoever has sent a request."""
        super().__init__(*args, **kwargs)
        self._request = request

    def clean_password(self) -> str:
        """Look whether it is theirs."""
        return _own_password(self._request, self.cleaned_data["password"])


class ChangePasswordForm(PasswordChangeForm):
    """Django's own, which would let an open session guess the old password as fast as it can."""

    def __init__(self, *args: Any, request: Request, **kwargs: Any) -> None:
        """Ask whoever has sent a request."""
        super().__init__(request.user, *args, **kwargs)
        self._request = request

    def clean_old_password(self) -> str:
        """Look whether it is theirs."""
        return _own_password(self._request, self.cleaned_data["old_password"])


class EnableForm(PasswordForm):
    """What switches the second factor on."""

    field_order = ("code", "password")

    code = forms.CharField(
        label=gettext_lazy("Code from the app"),
        max_length=16,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false"}),
    )


class TokenForm(PasswordForm):
    """What makes a token of the API."""

    field_order = ("name", "days", "password")

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        help_text=gettext_lazy("What it is for: the list of your tokens and its events name it so."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    days = forms.TypedChoiceField(
        label=gettext_lazy("Expires in"),
        coerce=int,
        choices=lambda: [(days, _("%(days)s days") % {"days": days}) for days in LIFETIMES],
        initial=LIFETIMES[1],
    )


def _own_password(request: Request, password: str) -> str:
    try:
        right = actions.password_is(request, request.user, password)
    except actions.TooSoon as refusal:
        raise _too_soon(refusal) from None
    if not right:
        raise ValidationError(_("This is not your password."))
    return password


def _too_soon(refusal: actions.TooSoon) -> ValidationError:
    return ValidationError(
        ngettext(
            "Tried too often. Wait %(seconds)s second, then try again.",
            "Tried too often. Wait %(seconds)s seconds, then try again.",
            refusal.wait,
        ),
        params={"seconds": refusal.wait},
    )

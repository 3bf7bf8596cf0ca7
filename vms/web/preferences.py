"""Keeping what a person prefers: shortcuts, hints, language, theme. One address, whichever of them is sent."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from vms import actions
from vms.domain.preferences import Hint, Theme
from vms.models import Preference
from vms.web import answers
from vms.web.access import Request, signed_in


class PreferenceForm(forms.Form):
    """What can be sent; what is not sent stays as it is."""

    shortcuts = forms.ChoiceField(choices=[("on", "on"), ("off", "off")], required=False)
    language = forms.ChoiceField(choices=lambda: [("", ""), *settings.LANGUAGES], required=False)
    theme = forms.ChoiceField(choices=[("", ""), *((theme, theme) for theme in Theme)], required=False)
    dismiss = forms.ChoiceField(choices=[(hint, hint) for hint in Hint], required=False)
    hints = forms.ChoiceField(choices=[("show", "show")], required=False)


@require_POST
@signed_in
def preferences(request: Request) -> HttpResponse:
    """Keep what was sent: nothing for a script, back to the page that asked otherwise."""
    form = PreferenceForm(request.POST)
    if not form.is_valid():
        raise BadRequest("not something that can be preferred")
    sent = {name: value for name, value in form.cleaned_data.items() if name in request.POST}
    if hint := sent.get("dismiss"):
        actions.dismiss_hint(request.user, Hint(hint))
    if sent.get("hints"):
        actions.show_hints(request.user)
    if sent.keys() & {"shortcuts", "language", "theme"}:
        shortcuts = sent["shortcuts"] == "on" if sent.get("shortcuts") else None
        actions.set_preferences(
            request.user, shortcuts=shortcuts, language=sent.get("language"), theme=sent.get("theme")
        )
    if not request.htmx:
        return redirect(_back(request))
    if "shortcuts" not in sent:
        return HttpResponse()
    on = Preference.of(request.user).shortcuts
    message = (
        _("Single keys are on.") if on else _("Single keys are off. The menu under your name turns them on again.")
    )
    told = trigger_client_event(HttpResponse(), "portal:shortcuts", {"on": on})
    return answers.close_dialog(answers.toast(told, message))


def _back(request: Request) -> str:
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else "account"

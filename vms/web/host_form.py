"""The form about a host: what it is called, and how it is reached."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy

from vms import host_words
from vms.actions import HostTaken
from vms.domain import host_uri
from vms.domain.errors import HostUriError
from vms.models import Host

_NAME_LENGTH = Host._meta.get_field("name").max_length  # noqa: SLF001  (Django's documented API)


class HostForm(forms.Form):
    """Name and connection URI. Only URIs are taken that do no more than connect."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=_NAME_LENGTH,
        help_text=gettext_lazy("What the portal calls the host."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    uri = forms.CharField(
        label=gettext_lazy("Connection URI"),
        help_text=gettext_lazy(
            "This machine: qemu:///system. Over SSH: qemu+ssh://USER@HOST/system?keyfile=/PATH. "
            "Over TLS: qemu+tls://HOST/system. Passwords have no place here."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "portal-mono"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Build it; one that comes back with errors leaves the focus to their summary."""
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs["autofocus"] = not self.is_bound

    def clean_uri(self) -> str:
        """Refuse a URI that no host may have."""
        try:
            return host_uri.parse(self.cleaned_data["uri"]).text
        except HostUriError as error:
            raise ValidationError(host_words.uri_error(error)) from None

    def add_taken(self, taken: HostTaken) -> None:
        """Put at its field that another host has this already."""
        self.add_error(taken.field, str(taken))

    @property
    def wanted(self) -> dict[str, Any]:
        """Name and URI, as the actions take them."""
        return {"name": self.cleaned_data["name"], "uri": self.cleaned_data["uri"]}

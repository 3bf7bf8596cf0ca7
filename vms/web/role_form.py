"""The form that gives a role on one VM."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Group, User
from django.utils.translation import gettext_lazy as _

from vms.models import Role


class GiveRoleForm(forms.Form):
    """A role, and the name of the person or group that is to have it.

    A name is typed, not chosen: who may give roles on one VM is not told who else can log in.
    """

    PERSON, GROUP = "person", "group"

    role = forms.ModelChoiceField(Role.objects.all(), label=_("Role"), empty_label=_("Choose a role"))
    kind = forms.ChoiceField(choices=[(PERSON, _("Person")), (GROUP, _("Group"))], label=_("To a"))
    name = forms.CharField(max_length=150, label=_("Name"), help_text=_("The user name of the person, or the group’s."))

    def clean(self) -> dict[str, Any]:
        """Find who is meant."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        kind, name = cleaned.get("kind"), cleaned.get("name")
        if kind and name:
            cleaned["to"] = self._found(kind, name)
            if cleaned["to"] is None:
                self.add_error("name", _("There is none of this name: look at the spelling, or at person and group."))
        return cleaned

    def _found(self, kind: str, name: str) -> User | Group | None:
        if kind == self.GROUP:
            return Group.objects.filter(name=name).first()
        return User.objects.filter(username=name, is_active=True).first()

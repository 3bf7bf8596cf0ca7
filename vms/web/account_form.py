"""The forms of one's own page: name and preferences; an address, and for each tag the outcomes to be told of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vms import labels
from vms.domain import notice
from vms.domain.operation import Outcome
from vms.models import Preference, Subscription, Tag


@dataclass(frozen=True, slots=True)
class Row:
    """The VMs of one tag, or all of them, with a box for each outcome."""

    name: str
    cells: list[forms.BoundField]


class PersonForm(forms.Form):
    """One's own name, and how the portal is to be."""

    first_name = forms.CharField(
        label=gettext_lazy("First name"),
        required=False,
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "given-name"}),
    )
    last_name = forms.CharField(
        label=gettext_lazy("Last name"),
        required=False,
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "family-name"}),
    )
    language = forms.ChoiceField(
        label=gettext_lazy("Language"),
        required=False,
        choices=lambda: [("", _("The browser's")), *settings.LANGUAGES],
        help_text=gettext_lazy("Events are kept in English, whatever the language."),
    )
    theme = forms.ChoiceField(
        label=gettext_lazy("Theme"),
        required=False,
        choices=lambda: [("", _("As chosen in each browser")), *labels.theme_choices()],
        help_text=gettext_lazy("Holds in every browser. The button at the top of each page changes it, too."),
    )
    shortcuts = forms.BooleanField(
        label=gettext_lazy("Keyboard shortcuts"),
        required=False,
        help_text=gettext_lazy("Single keys act on the list of virtual machines."),
    )

    def __init__(self, data: QueryDict | None, *, person: User) -> None:
        """Build it from what the person has chosen so far."""
        kept = Preference.of(person)
        initial = {name: getattr(kept, name) for name in ("language", "theme", "shortcuts")}
        initial |= {"first_name": person.first_name, "last_name": person.last_name}
        super().__init__(data, initial=initial)

    @property
    def preferences(self) -> dict[str, Any]:
        """What `actions.set_preferences` takes."""
        return {name: self.cleaned_data[name] for name in ("language", "theme", "shortcuts")}


class NoticeForm(forms.Form):
    """One's own notices."""

    email = forms.EmailField(
        label=gettext_lazy("E-mail address"),
        required=False,
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        help_text=gettext_lazy("Empty: no mail."),
    )

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        """Build it from what the person has chosen so far."""
        super().__init__(*args, **kwargs)
        chosen = set(Subscription.objects.filter(user=person).values_list("tag_id", "outcome"))
        self.fields["email"].initial = person.email
        self._tags: dict[int | None, str] = {None: _("All virtual machines")}
        self._tags |= {tag.pk: tag.name for tag in Tag.objects.all()}
        for tag, name in self._tags.items():
            for outcome in notice.OUTCOMES:
                self.fields[_field(tag, outcome)] = forms.BooleanField(
                    label=f"{name}: {labels.OUTCOME[outcome]}", required=False, initial=(tag, outcome) in chosen
                )

    @property
    def outcomes(self) -> list[str]:
        """The titles of the columns."""
        return [str(labels.OUTCOME[outcome]) for outcome in notice.OUTCOMES]

    @property
    def rows(self) -> Iterator[Row]:
        """The rows of boxes, that of all VMs first."""
        for tag, name in self._tags.items():
            yield Row(name, [self[_field(tag, outcome)] for outcome in notice.OUTCOMES])

    @property
    def wishes(self) -> dict[int | None, list[Outcome]]:
        """What was ticked, by tag."""
        return {
            tag: [outcome for outcome in notice.OUTCOMES if self.cleaned_data[_field(tag, outcome)]]
            for tag in self._tags
        }

    def clean(self) -> dict[str, Any]:
        """Refuse wishes that lead nowhere."""
        cleaned = super().clean() or {}
        if "email" in cleaned and not cleaned["email"] and any(self.wishes.values()):
            self.add_error("email", ValidationError(_("Enter an address, or untick everything.")))
        return cleaned


def _field(tag: int | None, outcome: Outcome) -> str:
    return f"{'all' if tag is None else tag}-{outcome}"

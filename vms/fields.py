"""Form fields that pages and Django admin share. Tags: one box, commas between them, and the known ones offered."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy

from vms import labels
from vms.domain import tags


class TagsField(forms.CharField):
    """The tags of a VM."""

    def __init__(self, **kwargs: Any) -> None:
        """Build it; it may be empty."""
        super().__init__(
            label=gettext_lazy("Tags"),
            required=False,
            help_text=gettext_lazy("With commas between them: production, web. People can be mailed about a tag."),
            widget=forms.TextInput(attrs={"autocomplete": "off"}),
            **kwargs,
        )

    def prepare_value(self, value: Any) -> Any:
        """Write the tags as they are typed."""
        return value if isinstance(value, str) or value is None else ", ".join(value)

    def to_python(self, value: Any) -> Any:
        """Return the tags."""
        try:
            return tags.parse(super().to_python(value) or "")
        except tags.TagError as error:
            raise ValidationError(str(labels.TAG_ERROR[error.code])) from None

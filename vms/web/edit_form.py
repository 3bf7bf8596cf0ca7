"""The form of Edit VM. It carries what a person changed since it was shown, and nothing else.

Each field brings along what it showed (Django's `show_hidden_initial`), so that what two people change at a time in
different fields is kept, whoever saves last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vms import labels
from vms.actions import SettingChange
from vms.domain.configuration import EDITABLE, Part, checked
from vms.domain.errors import ConfigurationError
from vms.domain.policy import Option
from vms.domain.power import EDITABLE as EDITABLE_STATUSES
from vms.domain.power import VmStatus
from vms.queries import VmRow
from vms.web.fields import BootOrderField, MemoryField, TextField, VcpusField, boot_choice
from vms.web.forms import ConfigurationForm, VmPolicyForm

_HELP = {
    Part.DESCRIPTION: gettext_lazy("What the VM is for, in words for people. Kept by its host."),
    Part.MEMORY: gettext_lazy("For example 2 GiB or 1536 MiB; a number alone counts MiB."),
    Part.CD_IMAGE: gettext_lazy("The absolute path of a file on the host. Empty: nothing in the drive."),
}


class EditForm(VmPolicyForm, ConfigurationForm):
    """A VM's configuration and policy."""

    description = TextField(required=False)
    comment = TextField(
        required=False,
        label=gettext_lazy("Comment"),
        help_text=gettext_lazy("Kept by the portal; its host knows nothing of it."),
    )
    memory = MemoryField(required=False)
    vcpus = VcpusField(required=False)
    boot = BootOrderField(required=False)
    cd_image = forms.CharField(required=False, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    restart_inside = forms.BooleanField(required=False)
    apply_on_guest_reboot = forms.BooleanField(required=False)
    stateless = forms.BooleanField(required=False)
    delete_protected = forms.BooleanField(required=False)
    #: As they stand in the dialog, so that the summary of errors names them in the same order.
    field_order = [
        Part.DESCRIPTION,
        "comment",
        "tags",
        *EDITABLE[1:],
        "force",
        "force_default",
        "graceful_delay",
        "delay_default",
        *Option,
    ]

    def __init__(self, *args: Any, row: VmRow, **kwargs: Any) -> None:
        """Build it from what a VM is, and what its next cold start will use."""
        self.row, self.upcoming = row, row.upcoming
        shown = {part.value: self.upcoming.value(part) for part in EDITABLE} | {"boot": boot_choice(self.upcoming.boot)}
        options = {option.value: getattr(row.vm, option) for option in Option} | {"comment": row.vm.comment}
        tags = list(row.vm.tags.values_list("name", flat=True))
        super().__init__(*args, setting=row.vm.policy_setting, tags=tags, initial=shown | options, **kwargs)
        self.fields["boot"].keep(self.upcoming.boot)  # type: ignore[attr-defined]  # a BootOrderField
        for option in Option:
            self.fields[option].label = str(labels.OPTION[option])
            self.fields[option].help_text = str(labels.OPTION_EFFECT[option])
        for part in EDITABLE:
            self._explain(part)
        for field in self.fields.values():
            field.show_hidden_initial = True

    def _explain(self, part: Part) -> None:
        """Say beside a field what may be entered, whether it needs a restart, and why it cannot be changed now."""
        field = self.fields[part]
        field.label = str(labels.PART[part])
        why_not = self._why_not(part)
        # What was typed before that came about is kept, and refused.
        field.disabled = bool(why_not) and part not in self.data
        sentences = [why_not] if why_not else [str(_HELP[part])] if part in _HELP else []
        if not why_not and self.needs_restart(part):
            sentences.append(_("Needs a restart."))
        for change in self.row.changes:
            if change.part is part:
                now = labels.part_value(part, change.now)
                sentences.append(_("A change waits; in the running VM it is: %(now)s.") % {"now": now})
        field.help_text = format_html_join(" ", "{}", ((sentence,) for sentence in sentences))

    def _why_not(self, part: Part) -> str:
        status = VmStatus(self.row.vm.status)
        free = part is Part.DESCRIPTION and status is not VmStatus.GONE
        if status not in EDITABLE_STATUSES and not free:
            return _("Cannot be changed while the VM is %(status)s.") % {"status": labels.STATUS[status]}
        if part is Part.CD_IMAGE and self.upcoming.cd_image is None:
            return str(labels.CONFIGURATION_ERROR["no_drive"])
        return ""

    def needs_restart(self, part: Part) -> bool:
        """Say whether a change of a part waits for the next cold start."""
        return self.row.vm.running_configuration is not None and part is not Part.DESCRIPTION

    @property
    def system(self) -> Iterator[tuple[forms.BoundField, bool]]:
        """The fields of the section System, each with whether a change of it needs a restart."""
        return self._marked(Part.MEMORY, Part.VCPUS)

    @property
    def booting(self) -> Iterator[tuple[forms.BoundField, bool]]:
        """The fields of the section Boot, likewise."""
        return self._marked(Part.BOOT, Part.CD_IMAGE)

    def _marked(self, *parts: Part) -> Iterator[tuple[forms.BoundField, bool]]:
        return ((self[part], self.needs_restart(part) and not self.fields[part].disabled) for part in parts)

    def clean(self) -> dict[str, Any]:
        """Refuse a configuration that cannot be."""
        cleaned = super().clean()
        for part, value in self.values.items():
            try:
                checked({part: value}, self.upcoming)
            except ConfigurationError as error:
                self.add_configuration_error(error)
        return cleaned

    @property
    def values(self) -> dict[Part, Any]:
        """What a person changed of the configuration."""
        changed = set(self.changed_data) & set(self.cleaned_data)
        return {part: self.cleaned_data[part] for part in EDITABLE if part in changed}

    @property
    def options(self) -> dict[Option, bool]:
        """What a person changed of the options."""
        return {option: self.cleaned_data[option] for option in Option if option in self.changed_data}

    @property
    def comment_change(self) -> str | None:
        """The comment, where a person changed it."""
        return self.cleaned_data["comment"] if "comment" in self.changed_data else None

    @property
    def tags_change(self) -> tuple[str, ...] | None:
        """All of the tags, where a person changed any."""
        return self.cleaned_data["tags"] if "tags" in self.changed_data else None

    @property
    def setting_change(self) -> SettingChange:
        """What a person changed of the power-down policy."""
        change, changed = SettingChange(), set(self.changed_data)
        if changed & {"force", "force_default"}:
            change["force"] = self.setting.force
        if changed & {"graceful_delay", "delay_default"}:
            change["delay"] = self.setting.delay
        return change

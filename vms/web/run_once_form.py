"""The form of Run once: what one run does differently. Empty fields leave what is configured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vms import labels
from vms.domain.configuration import BootDevice, Configuration, Part
from vms.domain.errors import ConfigurationError
from vms.domain.policy import Option
from vms.domain.run_options import RunOptions, check
from vms.web.fields import MemoryField, VcpusField
from vms.web.forms import ConfigurationForm, ReasonField

_PATH = gettext_lazy("The absolute path of a file on the host. Empty: as configured.")


def _text(help_text: Any) -> forms.CharField:
    attrs = {"autocomplete": "off", "spellcheck": "false"}
    return forms.CharField(required=False, help_text=help_text, widget=forms.TextInput(attrs=attrs))


class RunOnceForm(ConfigurationForm):
    """The options of one run, and the reason for it."""

    boot = forms.TypedChoiceField(
        label=gettext_lazy("Boot from"),
        required=False,
        coerce=BootDevice,
        empty_value=None,
        choices=(),
        help_text=gettext_lazy("Tried first in this run; the others follow in the order that is configured."),
    )
    cd_image = _text(_PATH)
    empty_drive = forms.BooleanField(
        label=gettext_lazy("Nothing in the CD drive"),
        required=False,
        help_text=gettext_lazy("Leaves it empty for this run, whatever is configured."),
    )
    kernel = _text(gettext_lazy("Boots this kernel directly, from a file on the host."))
    initrd = _text(gettext_lazy("A file on the host, for the kernel above."))
    command_line = _text(gettext_lazy("For the kernel above, for example console=ttyS0 single."))
    memory = MemoryField(required=False)
    vcpus = VcpusField(required=False)
    paused = forms.BooleanField(
        label=gettext_lazy("Start paused"),
        required=False,
        help_text=gettext_lazy("The VM is there, but nothing runs in it until it is resumed."),
    )
    stateless = forms.BooleanField(
        required=False,
        help_text=gettext_lazy("What this run writes to its disks is dropped when it ends."),
    )
    reason = ReasonField()

    def __init__(
        self,
        *args: Any,
        configured: Configuration,
        always_stateless: bool,
        reason_tags: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        """Build it.

        Args:
            configured: What the VM will run with where the form says nothing else.
            always_stateless: Every run of the VM is stateless.
            reason_tags: Tags of the VM that want a reason.
        """
        super().__init__(*args, **kwargs)
        cast("ReasonField", self.fields["reason"]).require_for(reason_tags)
        self.configured = configured
        for part in Part:
            if part in self.fields and part is not Part.BOOT:
                self.fields[part].label = str(labels.PART[part])
        self.fields["stateless"].label = str(labels.OPTION[Option.STATELESS])
        as_configured = _("As configured: %(value)s")
        order = labels.part_value(Part.BOOT, configured.boot)
        self.fields["boot"].choices = [  # type: ignore[attr-defined]  # a choice field
            ("", as_configured % {"value": order}),
            *((device.value, labels.BOOT_DEVICE[device]) for device in BootDevice),
        ]
        for part in (Part.MEMORY, Part.VCPUS):
            value = labels.part_value(part, configured.value(part))
            self.fields[part].widget.attrs["placeholder"] = value
            self.fields[part].help_text = _("Empty: as configured, %(value)s.") % {"value": value}
        if configured.cd_image is None:
            for name in ("cd_image", "empty_drive"):
                self.fields[name].disabled = True
            self.fields["cd_image"].help_text = str(labels.CONFIGURATION_ERROR["no_drive"])
        else:
            self.fields["cd_image"].widget.attrs["placeholder"] = labels.part_value(Part.CD_IMAGE, configured.cd_image)
        if always_stateless:
            self.fields["stateless"].disabled = True
            self.fields["stateless"].initial = True
            self.fields["stateless"].help_text = _("Every run of this VM is stateless: Edit says so.")

    def clean(self) -> dict[str, Any]:
        """Refuse options that no run can have."""
        cleaned = super().clean() or {}
        if cleaned.get("empty_drive") and cleaned.get("cd_image"):
            self.add_error("cd_image", _("Enter an image, or tick that nothing is in the drive, not both."))
        elif not self.errors:
            try:
                check(self.run_options, has_cd_drive=self.configured.cd_image is not None)
            except ConfigurationError as error:
                self.add_configuration_error(error)
        return cleaned

    @property
    def run_options(self) -> RunOptions:
        """What was chosen."""
        given = self.cleaned_data
        image = "" if given["empty_drive"] else given["cd_image"] or None
        same = ("boot", "kernel", "initrd", "command_line", "paused", "memory", "vcpus", "stateless")
        return RunOptions(cd_image=image, **{name: given[name] for name in same})

    @property
    def kernel_used(self) -> bool:
        """True when a kernel of its own, or what belongs to one, is set or wrong."""
        return any(self[name].value() or self[name].errors for name in ("kernel", "initrd", "command_line"))

    @property
    def options(self) -> list[forms.BoundField]:
        """The fields that the plan depends on."""
        return [field for field in self if field.name != "reason"]

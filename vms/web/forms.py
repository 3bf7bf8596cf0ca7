"""The portal's forms. What they accept is judged by the domain; here its words become sentences at their fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vms import labels
from vms.domain.bulk import check_in_flight
from vms.domain.disks import Disk
from vms.domain.errors import ConfigurationError, PolicyError
from vms.domain.policy import MAX_DELAY, Origin, Setting, check_delay, check_vm_setting
from vms.domain.power import GRACEFUL_ACTIONS, Action
from vms.domain.retention import MAX_DAYS, Keep
from vms.fields import TagsField
from vms.models import Operation

FORCE_LABEL = gettext_lazy("Power off if the guest does not shut down in time")
DELAY_LABEL = gettext_lazy("Graceful power-down delay")
DAYS_HELP = gettext_lazy("Days, 0 for ever. Older ones are deleted every night.")
DAYS_RANGE = gettext_lazy("Enter whole days from 0 (for ever) to 36500.")
_REASON_LENGTH = Operation._meta.get_field("reason").max_length  # noqa: SLF001  (Django's documented API)


class DelayField(forms.CharField):
    """Whole seconds, or nothing.

    It is a text box, not a number box: a browser sends an empty string for whatever it does not take for a number, and
    empty means something here.
    """

    def __init__(self, *, refusal: str = "range", **kwargs: Any) -> None:
        """Build it.

        Args:
            refusal: Which of the domain's reasons is given for what is no whole number.
        """
        super().__init__(label=kwargs.pop("label", DELAY_LABEL), max_length=20, **kwargs)
        self.refusal = refusal
        self.widget.attrs |= {"inputmode": "numeric", "autocomplete": "off", "class": "portal-seconds"}
        self.widget.attrs.pop("maxlength", None)  # what does not fit is answered, not cut off

    def clean(self, value: Any) -> int | None:
        """Return the seconds; None where nothing was entered."""
        text = str(value or "").strip()
        if not text and not self.required:
            return None
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise ValidationError(str(labels.POLICY_ERROR[self.refusal]))
        try:
            check_delay(int(text))
        except PolicyError:
            raise ValidationError(str(labels.POLICY_ERROR[self.refusal])) from None
        return int(text)


class ReasonField(forms.CharField):
    """Why a person asks for a power action, in their own words."""

    def __init__(self) -> None:
        """Build it."""
        super().__init__(
            label=gettext_lazy("Reason"),
            required=False,
            max_length=_REASON_LENGTH,
            help_text=gettext_lazy("Optional. Kept with the operation and its events."),
            widget=forms.TextInput(attrs={"autocomplete": "off"}),
        )

    def require_for(self, tags: Sequence[str]) -> None:
        """Want a reason where one of the VMs bears a tag that does."""
        if not tags:
            return
        named = get_text_list([f"“{tag}”" for tag in tags], _("and"))
        self.required = True
        self.error_messages["required"] = _("Say why: the tag %(tags)s wants a reason for every action.") % {
            "tags": named
        }
        self.help_text = _("Required by the tag %(tags)s. Kept with the operation and its events.") % {"tags": named}


class PolicyForm(forms.Form):
    """What every form about a power-down policy can do: say what is wrong with one at its field."""

    def add_policy_error(self, error: PolicyError, vm_name: str = "") -> None:
        """Put the domain's refusal at the field it is about.

        Args:
            vm_name: The VM it holds for, where there are several.
        """
        sentence = str(labels.POLICY_ERROR[error.code])
        if vm_name:
            sentence = f"{vm_name}: {sentence}"
        self.add_error(error.field if error.field in self.fields else None, sentence)


class ConfigurationForm(forms.Form):
    """What every form about a configuration can do: say what is wrong with a part of it at its field."""

    def add_configuration_error(self, error: ConfigurationError) -> None:
        """Put the domain's refusal at the field it is about."""
        self.add_error(error.part if error.part in self.fields else None, str(labels.CONFIGURATION_ERROR[error.code]))


class ActionForm(PolicyForm):
    """What the confirmation asks: a reason, and for graceful actions an override of the policy for once."""

    reason = ReasonField()
    force = forms.TypedChoiceField(
        label=gettext_lazy("If the guest does not shut down in time"),
        required=False,
        choices=[
            ("", gettext_lazy("By policy")),
            ("yes", gettext_lazy("Power off, this time")),
            ("no", gettext_lazy("Give up, this time")),
        ],
        coerce=lambda value: {"yes": True, "no": False}[value],
        empty_value=None,
        help_text=gettext_lazy("For this once; what the VM is set to stays. Powering off loses what is not saved."),
    )
    graceful_delay = DelayField(
        label=gettext_lazy("Seconds to wait, this time"),
        required=False,
        help_text=gettext_lazy("Empty: by policy."),
    )
    disks = forms.MultipleChoiceField(
        label=gettext_lazy("Disks to remove, too"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": gettext_lazy("%(value)s is no disk of this VM that can be removed.")},
        help_text=gettext_lazy("Those that are not ticked are kept. What is on a removed disk is lost for good."),
    )
    count = forms.CharField(
        required=False, widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "numeric"})
    )

    def __init__(
        self,
        *args: Any,
        action: Action,
        disks: Iterable[Disk] = (),
        eligible: int = 1,
        type_count: bool = False,
        reason_tags: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        """Build it for an action.

        Args:
            disks: Those of the VM, where the action may take some along.
            eligible: How many VMs it will be done to.
            type_count: Whether that number must be typed to confirm.
            reason_tags: Tags of these VMs that want a reason.
        """
        super().__init__(*args, **kwargs)
        cast("ReasonField", self.fields["reason"]).require_for(reason_tags)
        self.eligible = eligible
        if action not in GRACEFUL_ACTIONS:
            del self.fields["force"], self.fields["graceful_delay"]
        self.kept_disks = [disk for disk in disks if not disk.may_go and disk.source]
        choices = [(disk.source, f"{disk.target}: {disk.source}") for disk in disks if disk.may_go]
        if choices:
            cast("forms.MultipleChoiceField", self.fields["disks"]).choices = choices
        else:
            del self.fields["disks"]
        if type_count:
            self.fields["count"].label = _("Type %(count)s, the number of virtual machines, to confirm") % {
                "count": eligible
            }
        else:
            del self.fields["count"]

    @property
    def override(self) -> Setting:
        """What the request sets for this once."""
        return Setting(self.cleaned_data.get("force"), self.cleaned_data.get("graceful_delay"))

    @property
    def chosen_disks(self) -> list[str]:
        """Sources of the disks that are to go, too."""
        return list(self.cleaned_data.get("disks", ()))

    @property
    def options(self) -> list[forms.BoundField]:
        """The fields under "Options"."""
        return [self[name] for name in ("force", "graceful_delay") if name in self.fields]

    @property
    def options_used(self) -> bool:
        """True when something is set there, or wrong there."""
        return any(field.value() or field.errors for field in self.options)

    def clean_count(self) -> str:
        """Refuse anything but the number of VMs."""
        value = str(self.cleaned_data["count"]).strip()
        if value != str(self.eligible):
            raise ValidationError(_("Type %(count)s to confirm.") % {"count": self.eligible})
        return value


class VmPolicyForm(PolicyForm):
    """A VM's own power-down policy. A ticked box alone cannot say "not set", so each setting has a second one."""

    force = forms.BooleanField(label=FORCE_LABEL, required=False)
    force_default = forms.BooleanField(required=False)
    graceful_delay = DelayField(required=False)
    delay_default = forms.BooleanField(required=False)
    tags = TagsField()

    def __init__(self, *args: Any, default: Setting, setting: Setting, tags: Iterable[str] = (), **kwargs: Any) -> None:
        """Build it from what the VM has set and what the portal's default is."""
        kwargs["initial"] = kwargs.get("initial", {}) | {
            "force": default.force if setting.force is None else setting.force,
            "force_default": setting.force is None,
            "graceful_delay": setting.delay,
            "delay_default": setting.delay is None,
            "tags": list(tags),
        }
        super().__init__(*args, **kwargs)
        in_words = _("on") if default.force else _("off")
        delay = {"seconds": default.delay}
        self.fields["force_default"].label = _("Use the portal default: %(value)s") % {"value": in_words}
        self.fields["delay_default"].label = _("Use the portal default: %(seconds)s s") % delay
        self.fields["graceful_delay"].widget.attrs["placeholder"] = _("%(seconds)s (portal default)") % delay
        self.fields["force"].help_text = self._force_in_words(setting, default)
        self.fields["graceful_delay"].help_text = self._delay_in_words(setting, default)
        for name, control, value in (
            ("force_default", "id_force", "on" if default.force else ""),
            ("delay_default", "id_graceful_delay", ""),
        ):
            self.fields[name].widget.attrs |= {"data-default-of": control, "data-default-value": value}

    @staticmethod
    def _force_in_words(setting: Setting, default: Setting) -> str:
        force = default.force if setting.force is None else setting.force
        origin = labels.ORIGIN[Origin.DEFAULT if setting.force is None else Origin.VM]
        in_words = _("on") if force else _("off")
        return _("In force now: %(value)s, from %(origin)s.") % {"value": in_words, "origin": origin}

    @staticmethod
    def _delay_in_words(setting: Setting, default: Setting) -> str:
        delay = default.delay if setting.delay is None else setting.delay
        origin = labels.ORIGIN[Origin.DEFAULT if setting.delay is None else Origin.VM]
        now = _("In force now: %(seconds)s s, from %(origin)s.") % {"seconds": delay, "origin": origin}
        rule = _("Whole seconds, 0 to %(most)s. Empty: the portal default, %(seconds)s s.") % {
            "most": MAX_DELAY,
            "seconds": default.delay,
        }
        return f"{now} {rule}"

    def clean(self) -> dict[str, Any]:
        """Refuse a policy that could not be carried out."""
        cleaned = super().clean() or {}
        if "graceful_delay" in cleaned:
            if cleaned["delay_default"] and cleaned["graceful_delay"] is not None:
                self.add_error("graceful_delay", _("Empty the box to use the portal default, or untick the default."))
                return cleaned
            try:
                check_vm_setting(self.setting)
            except PolicyError as error:
                self.add_policy_error(error)
        return cleaned

    @property
    def setting(self) -> Setting:
        """What the VM is to have set."""
        return Setting(
            force=None if self.cleaned_data["force_default"] else self.cleaned_data["force"],
            delay=self.cleaned_data["graceful_delay"],
        )


def _days_field(label: Any) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        min_value=0,
        max_value=MAX_DAYS,
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), DAYS_RANGE),
        help_text=DAYS_HELP,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "class": "portal-seconds"}),
    )


class RetentionForm(forms.Form):
    """How long history is kept."""

    keep_events = _days_field(gettext_lazy("Keep events"))
    keep_operations = _days_field(gettext_lazy("Keep operations, with their steps and pictures"))

    @property
    def keep(self) -> Keep:
        """What was entered."""
        return Keep(events=self.cleaned_data["keep_events"], operations=self.cleaned_data["keep_operations"])


class DefaultsForm(PolicyForm, RetentionForm):
    """The policy of VMs that have not set their own, the cap of bulks, and how long history is kept."""

    force = forms.BooleanField(
        label=FORCE_LABEL,
        required=False,
        help_text=gettext_lazy("Otherwise the portal gives up: the VM stays up, and everyone is told."),
    )
    graceful_delay = DelayField(refusal="default_range", help_text=gettext_lazy("Whole seconds, 1 to 3600."))
    bulk_in_flight = forms.CharField(
        label=gettext_lazy("Virtual machines of one request at a time"),
        max_length=20,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "class": "portal-seconds"}),
        help_text=gettext_lazy(
            "1 to 1000. When an action is asked for on several virtual machines at once, at most so many of them are "
            "worked on at the same time; the others queue, in the order of the list. Requests that are under way keep "
            "the number they began with."
        ),
    )

    def clean_bulk_in_flight(self) -> int:
        """Refuse what is no whole number in the range."""
        text = str(self.cleaned_data["bulk_in_flight"]).strip()
        try:
            value = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None
            check_in_flight(value)
        except PolicyError as error:
            raise ValidationError(str(labels.POLICY_ERROR[error.code])) from None
        return int(text)

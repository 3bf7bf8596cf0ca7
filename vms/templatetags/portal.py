"""How numbers, moments and the domain's words are written in templates."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser, User
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from vms import host_words, labels, permissions
from vms.domain import search
from vms.domain.configuration import Part
from vms.domain.disks import Kept
from vms.domain.observation import Proof
from vms.domain.operation import Outcome
from vms.domain.plan import Consequence, PlanKind
from vms.domain.power import Action, VmStatus
from vms.domain.preferences import Hint
from vms.models import ConfigurationChange, Operation, Preference

register = template.Library()

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_HIDDEN = mark_safe('aria-hidden="true"')


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Draw an icon of static/img/icons.svg in the colour of the text around it.

    A tag and no template of its own: a page of the list has hundreds.

    Args:
        name: Id of the symbol: "run", "reboot", "status-up" …
        label: Its accessible name; without one the icon is decoration and hidden from assistive technology.
    """
    said = format_html('role="img" aria-label="{}"', label) if label else _HIDDEN
    return format_html(
        '<svg class="portal-icon portal-icon--{}" width="16" height="16" {}><use href="{}#{}"/></svg>',
        name,
        said,
        static("img/icons.svg"),
        name,
    )


@register.filter
def clock(seconds: float | None) -> str:
    """Write seconds as 0:41 or 1:02:03; countdown.js writes the same."""
    if seconds is None:
        return ""
    left = max(0, round(seconds))
    hours, minutes = left // _HOUR, left % _HOUR // _MINUTE
    return f"{hours}:{minutes:02}:{left % _MINUTE:02}" if hours else f"{minutes}:{left % _MINUTE:02}"


@register.filter
def seconds_left(moment: datetime) -> float:
    """Return the seconds until a moment; 0 when it has passed."""
    return max(0.0, (moment - timezone.now()).total_seconds())


@register.filter
def seconds_since(moment: datetime | None, start: datetime | None) -> float | None:
    """Return the seconds from `start` to a moment."""
    return (moment - start).total_seconds() if moment and start else None


@register.filter
def for_how_long(moment: datetime | str | None, until: datetime | None = None) -> str:
    """Write how long ago a moment (ISO 8601, where it is text) was in one short unit: 12 d, 3 h, 5 min, 20 s.

    Args:
        until: Counted to this moment instead of to now.
    """
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if moment is None:
        return ""
    seconds = max(0, int(((until or timezone.now()) - moment).total_seconds()))
    if seconds >= _DAY:
        return pgettext("days", "%(count)s d") % {"count": seconds // _DAY}
    if seconds >= _HOUR:
        return pgettext("hours", "%(count)s h") % {"count": seconds // _HOUR}
    if seconds >= _MINUTE:
        return pgettext("minutes", "%(count)s min") % {"count": seconds // _MINUTE}
    return pgettext("seconds", "%(count)s s") % {"count": seconds}


register.filter("memory", labels.memory)


@register.filter
def plan_word(kind: str) -> str:
    """Return the sentence for one step of a plan."""
    return str(labels.PLAN[PlanKind(kind)])


@register.filter
def plan_short(kind: str) -> str:
    """Return one step of a plan in a word or two."""
    return str(labels.PLAN_SHORT[PlanKind(kind)])


@register.filter
def consequence_word(consequence: str) -> str:
    """Return the sentence for what an operation brings about besides."""
    return str(labels.CONSEQUENCE[Consequence(consequence)])


@register.filter
def part_word(part: str) -> str:
    """Return the name of a part of a configuration."""
    return str(labels.PART[Part(part)])


@register.filter
def part_value(value: Any, part: str) -> str:
    """Return one part of a configuration in words."""
    return labels.part_value(Part(part), value)


@register.filter
def asked_for(change: ConfigurationChange) -> str:
    """Return what a change of a configuration is about."""
    return labels.changed_parts(change.values, change.reverts)


@register.filter
def run_words(operation: Operation) -> list[str]:
    """Return what the run that an operation starts does differently."""
    return labels.run_options(operation.run_options)


@register.filter
def status_word(status: str) -> str:
    """Return a VM's status in words."""
    return str(labels.STATUS[VmStatus(status)])


@register.filter
def proof_short(proof: Proof) -> str:
    """Return what shows that a VM is back, in a word or two."""
    return str(labels.PROOF_SHORT[proof])


@register.filter
def whole_seconds(seconds: float) -> str:
    """Write a duration in the whole seconds that are enough for it."""
    return _("%(seconds)s s") % {"seconds": math.ceil(seconds)}


@register.filter
def beyond(count: int, limit: int) -> int:
    """Return how many are beyond a limit."""
    return max(0, count - limit)


@register.filter
def tag_term(name: str) -> str:
    """Return what is typed into the list's filter to find the VMs with a tag."""
    return search.term("tag", name)


@register.filter
def kept_word(kept: Kept) -> str:
    """Say why a disk is kept in any case."""
    return str(labels.KEPT[kept])


@register.filter
def origin_word(origin: str) -> str:
    """Return where a setting comes from, in words; nothing for an origin that is not known."""
    return next((str(label) for value, label in labels.origin_choices() if value == origin), "")


@register.filter
def ended_word(operation: Operation) -> str:
    """Say how an operation ended, as a short sentence: "Reboot gave up"."""
    action = labels.ACTION[Action(operation.action)]
    sentences = {
        Outcome.GAVE_UP: _("%(action)s gave up"),
        Outcome.FAILED: _("%(action)s failed"),
        Outcome.CANCELLED: _("%(action)s was cancelled"),
    }
    sentence = sentences.get(Outcome(operation.outcome), "%(action)s")
    return sentence % {"action": action}


@register.filter
def level_of(operation: Operation) -> str:
    """Return the colour of an ended operation: success, warning, danger or plain; the word says the same."""
    if operation.outcome == Outcome.FAILED:
        return "danger"
    if operation.outcome in (Outcome.GAVE_UP, Outcome.FORCED):
        return "warning"
    return "success" if operation.succeeded else "plain"


@register.simple_tag
def preference_of(user: User | AnonymousUser) -> Preference:
    """Return what a person prefers."""
    return Preference.of(user)


@register.inclusion_tag("components/hint.html", takes_context=True)
def hint(context: dict[str, Any], key: str) -> dict[str, Any]:
    """Say what a page is for, until the person has dismissed that."""
    request = context["request"]
    shown = Preference.of(request.user).shows(Hint(key))
    return {
        "hint": key if shown else "",
        "text": labels.HINT[Hint(key)],
        "next": request.get_full_path(),
        "csrf_token": context.get("csrf_token"),
    }


@register.simple_tag(takes_context=True)
def may_steer(context: dict[str, Any], operation: Operation) -> bool:
    """Say whether the user may extend or cancel an operation."""
    return permissions.may_steer(context["user"], operation)


@register.simple_tag(takes_context=True)
def may_ask(context: dict[str, Any], action: str) -> bool:
    """Say whether the user may ask for an action on some VM."""
    return permissions.may_ask(context["user"], Action(action))


@register.simple_tag(takes_context=True)
def may_force(context: dict[str, Any], operation: Operation) -> bool:
    """Say whether the user may force an operation now."""
    return permissions.may_force(context["user"], operation)


@register.simple_tag
def next_events(operation: Operation) -> list[dict[str, Any]]:
    """Return what the plan of a waiting operation has in store: `kind`, `at`, and whether it has passed.

    The plan counts from the moment the guest was first asked; its end is moved by Extend and Force now.
    """
    if operation.asked_at is None or operation.deadline_at is None:
        return []
    events = []
    for step in operation.plan.get("steps", []):
        if step["after"] is None:
            continue
        last = step["kind"] in (PlanKind.POWER_OFF, PlanKind.GIVE_UP)
        at = operation.deadline_at if last else operation.asked_at + timedelta(seconds=step["after"])
        kind = (PlanKind.POWER_OFF if operation.force else PlanKind.GIVE_UP) if last else PlanKind(step["kind"])
        events.append({"kind": kind.value, "at": at, "passed": at <= timezone.now()})
    return events


@register.simple_tag
def sort_link(column: str, current: str) -> dict[str, str]:
    """Return what the heading of a sortable column needs: `aria` and the `next` value of the sort parameter."""
    if current == column:
        return {"aria": "ascending", "next": f"-{column}"}
    return {"aria": "descending" if current == f"-{column}" else "none", "next": column}


@register.simple_tag
def action_url(action: str) -> str:
    """Return the address of an action."""
    return reverse("vm_action", args=[Action(action)])


@register.filter
def tenths(seconds: float | None) -> str:
    """Write a duration: 0.3 s below a minute, as a clock above."""
    if seconds is None:
        return ""
    return clock(seconds) if seconds >= _MINUTE else _("%(seconds)s s") % {"seconds": f"{max(0.0, seconds):.1f}"}


@register.filter
def explained(error: str, uri: str) -> str:
    """Say what to do about a host that cannot be reached, by what libvirt said of it."""
    return host_words.explain(uri, error)

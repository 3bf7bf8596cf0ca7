"""What a VM used, as charts and in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vms.models import Sample


@dataclass(frozen=True, slots=True)
class Range:
    """How far back charts go.

    Attributes:
        resolution: Seconds between two points.
    """

    key: str
    label: str | Promise
    length: timedelta
    resolution: int


RANGES = (
    Range("15m", gettext_lazy("15 minutes"), timedelta(minutes=15), 10),
    Range("1h", gettext_lazy("1 hour"), timedelta(hours=1), 60),
    Range("1d", gettext_lazy("1 day"), timedelta(days=1), 300),
)
#: A gap of so many points is shown as one.
_GAP = 2.5


def chosen_range(key: str | None) -> Range:
    """Return a range by its key; the first one for any other."""
    return next((each for each in RANGES if each.key == key), RANGES[0])


def _percent(value: float) -> str:
    return _("%(percent)s %%") % {"percent": round(100 * value)}


def _per_second(value: float) -> str:
    return _("%(bytes)s/s") % {"bytes": filesizeformat(value)}


#: What is drawn: the field of a sample, its name, and how a value is written.
FIGURES: tuple[tuple[str, Promise, Callable[[float], str]], ...] = (
    ("cpu", gettext_lazy("CPU"), _percent),
    ("memory_used", gettext_lazy("Memory used"), filesizeformat),
    ("disk_read", gettext_lazy("Disk read"), _per_second),
    ("disk_written", gettext_lazy("Disk written"), _per_second),
    ("net_received", gettext_lazy("Network received"), _per_second),
    ("net_sent", gettext_lazy("Network sent"), _per_second),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure in words: what it is now, and its least and greatest value of the range."""

    label: str | Promise
    now: str
    least: str
    most: str


def in_words(samples: Iterable[Sample]) -> list[Figure]:
    """Return every figure that anything is known of."""
    listed = list(samples)
    figures = []
    for name, label, write in FIGURES:
        known = [value for sample in listed if (value := getattr(sample, name)) is not None]
        if known:
            last = getattr(listed[-1], name)
            now = "—" if last is None else write(last)
            figures.append(Figure(label, now, write(min(known)), write(max(known))))
    return figures


def as_json(samples: Iterable[Sample], resolution: int) -> dict[str, Any]:
    """Return what the charts are drawn of: moments in seconds since the epoch, and a list of values for each figure.

    Where nothing is known between two samples, a point without values breaks the line.
    """
    names = [name for name, _label, _write in FIGURES]
    at: list[float] = []
    values: dict[str, list[float | None]] = {name: [] for name in (*names, "memory")}
    for sample in samples:
        moment = sample.at.timestamp()
        if at and moment - at[-1] > _GAP * max(resolution, sample.resolution):
            at.append(at[-1] + resolution)
            for each in values.values():
                each.append(None)
        at.append(moment)
        for name, each in values.items():
            each.append(getattr(sample, name))
    return {"at": at, "values": values}

"""One open stream: what its page has not been told yet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vms.live.viewers import Viewer

#: Everything on the page may have changed: read it again.
ALL = "*"
#: Parts that one viewer has not taken yet; more than a page holds are a sign that it is better to read it again.
MOST = 100
#: The same of topics, which are short.
_MOST_TOPICS = 500


@dataclass(slots=True)
class Frame:
    """What one viewer is told in one go.

    Attributes:
        parts: Parts of the page as they are now, by the ids of their elements; each as JSON already.
        topics: What else has changed.
        lost: Changes are not heard of, for now; None when nothing is new about that.
    """

    parts: dict[str, str] = field(default_factory=dict)
    topics: set[str] = field(default_factory=set)
    lost: bool | None = None

    def as_json(self) -> str:
        """Return it as the page reads it. Parts are long and go to many, so they are only put together here."""
        parts = ",".join(f'"{element}":{part}' for element, part in self.parts.items())
        lost = "" if self.lost is None else f',"lost":{json.dumps(self.lost)}'
        return f'{{"parts":{{{parts}}},"topics":{json.dumps(sorted(self.topics))}{lost}}}'


class Listener:
    """One open stream.

    Attributes:
        viewer: Who listens, as last looked at.
        dismissed: Set once they may listen no more.
    """

    def __init__(self, viewer: Viewer, *, lost: bool) -> None:
        self.viewer = viewer
        self.dismissed = asyncio.Event()
        self._frame = Frame(topics={ALL}, lost=lost)
        self._news = asyncio.Event()
        self._news.set()

    def offer(self, parts: Mapping[str, str], topics: Iterable[str]) -> None:
        """Add what has changed to what was not taken yet."""
        frame = self._frame
        if ALL not in frame.topics:
            frame.topics.update(topics)
            frame.parts.update(parts)
        if ALL in frame.topics or len(frame.parts) > MOST or len(frame.topics) > _MOST_TOPICS:
            frame.parts, frame.topics = {}, {ALL}
        if frame.topics or frame.parts:
            self._news.set()

    def tell_lost(self, *, lost: bool) -> None:
        """Say that changes are not heard of any more, or are again, after a gap."""
        self._frame.lost = lost
        if not lost:
            self.offer({}, [ALL])
        self._news.set()

    def become(self, viewer: Viewer | None) -> None:
        """Take over who listens as they are now. To whom other things are shown now, everything may look different."""
        if viewer is None:
            self.dismiss()
            return
        if viewer.kind != self.viewer.kind:
            self.offer({}, [ALL])
        self.viewer = viewer

    def dismiss(self) -> None:
        """Send them away."""
        self.dismissed.set()

    async def take(self, patience: float) -> Frame | None:
        """Wait for something new; None after `patience` seconds without."""
        try:
            async with asyncio.timeout(patience):
                await self._news.wait()
        except TimeoutError:
            return None
        self._news.clear()
        frame, self._frame = self._frame, Frame()
        return frame

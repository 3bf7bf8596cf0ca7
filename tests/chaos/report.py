"""What came of a run, for people and for the exit status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Report:
    """What came of a run.

    Attributes:
        lost: Requests that were accepted and left no operation.
        doubled: Operations, starts or power-offs that nothing accounts for.
        stuck: Operations or VMs that did not come to rest in time.
        wrong: Everything that must not be, in words.
    """

    seed: int
    minutes: float
    kills: Counter[str] = field(default_factory=Counter)
    operations: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    wrong: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return it for people."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"chaos, seed {self.seed}, {self.minutes:g} min"
        yield f"  operations  {self.operations}: {_counted(self.outcomes)}"
        yield f"  requests    {self.answers.total()}: {_counted(self.answers)}"
        yield f"  kills       {self.kills.total()}: {_counted(self.kills)}"
        yield f"  lost {self.lost}, doubled {self.doubled}, stuck {self.stuck}"
        for wrong in self.wrong:
            yield f"VIOLATION: {wrong}"
        yield "FAILED" if self.wrong else "passed"


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))

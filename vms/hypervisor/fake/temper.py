"""The authority on how a simulated guest behaves. Every combination is allowed; new tempers are new combinations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Agent(StrEnum):
    """What the guest agent is like."""

    ON = "on"
    IGNORES = "ignores"
    """Connected, takes requests, and does nothing about them."""
    REFUSES = "refuses"
    """Connected, and answers every request with an error."""
    DROPS = "drops"
    """Connected, takes a request, does nothing about it and goes away until the next boot."""
    OFF = "off"
    """The channel is there, but nothing in the guest opens it."""
    NONE = "none"
    """The domain has no channel."""


class Reaction(StrEnum):
    """What a guest does when it acts on a request."""

    HALT = "halt"
    REBOOT = "reboot"
    PANIC = "panic"
    """Its kernel panics: what then becomes of its run, the domain's `on_crash` says."""


#: A driver waits so long for an agent's answer, in seconds.
ANSWER_LIMIT = 3.0


@dataclass(frozen=True)
class Temper:
    """How one guest behaves; all times in seconds.

    Attributes:
        agent: What its agent is like.
        agent_late: From the end of booting until the agent connects.
        agent_answers: How long the agent takes to answer. To a driver that has stopped waiting the call has failed; the
            guest does as it was told all the same, once its agent is that far.
        acpi: The domain has a power button at all.
        button: The guest listens to it.
        lost_presses: So many presses are lost in each boot before it hears one.
        boot: From the start until the guest listens; requests made before that are lost.
        hangs: It hangs as it boots, and never listens.
        panics: Its kernel panics at the end of booting.
        slow: From the first request until it acts. Repeated requests change nothing.
        told_to_halt: What it does when told to power down.
        told_to_reboot: What it does when told to restart.
        save: How long a managed save takes.
    """

    agent: Agent = Agent.ON
    agent_late: float = 0.0
    agent_answers: float = 0.0
    acpi: bool = True
    button: bool = True
    lost_presses: int = 0
    boot: float = 0.0
    hangs: bool = False
    panics: bool = False
    slow: float = 0.0
    told_to_halt: Reaction = Reaction.HALT
    told_to_reboot: Reaction = Reaction.REBOOT
    save: float = 0.0

    @property
    def has_channel(self) -> bool:
        """True when the domain has a guest-agent channel."""
        return self.agent is not Agent.NONE

    @property
    def connects(self) -> bool:
        """True when an agent will connect once the guest has booted."""
        return self.agent not in (Agent.OFF, Agent.NONE) and not self.hangs

    @classmethod
    def of(cls, fields: dict[str, object]) -> Temper:
        """Return the temper that was written with `__dict__`."""
        temper = cls(**fields)  # type: ignore[arg-type]
        object.__setattr__(temper, "agent", Agent(temper.agent))
        object.__setattr__(temper, "told_to_halt", Reaction(temper.told_to_halt))
        object.__setattr__(temper, "told_to_reboot", Reaction(temper.told_to_reboot))
        return temper


OBEDIENT = Temper()
ACPI_ONLY = Temper(agent=Agent.NONE)
SLOW = Temper(slow=20.0)
STUBBORN = Temper(agent=Agent.IGNORES, button=False)

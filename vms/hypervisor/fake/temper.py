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
    OFF = "off"
    """The channel is there, but nothing in the guest opens it."""
    NONE = "none"
    """The domain has no channel."""


class Reaction(StrEnum):
    """What a guest does when it acts on a request."""

    HALT = "halt"
    REBOOT = "reboot"


@dataclass(frozen=True)
class Temper:
    """How one guest behaves; all times in seconds.

    Attributes:
        agent: What its agent is like.
        agent_late: From the end of booting until the agent connects.
        acpi: The domain has a power button at all.
        button: The guest listens to it.
        boot: From the start until the guest listens; requests made before that are lost.
        slow: From the first request until it acts. Repeated requests change nothing.
        told_to_halt: What it does when told to power down.
        told_to_reboot: What it does when told to restart.
        save: How long a managed save takes.
    """

    agent: Agent = Agent.ON
    agent_late: float = 0.0
    acpi: bool = True
    button: bool = True
    boot: float = 0.0
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
        return self.agent in (Agent.ON, Agent.IGNORES, Agent.REFUSES)

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

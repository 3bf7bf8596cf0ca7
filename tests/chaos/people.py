"""People who ask for everything at random, over HTTP, and note what they were told."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from django.db import connections

from tests.acceptance.instance import Answer, Instance, Person
from vms.domain.power import Action
from vms.models import Operation, VirtualMachine

T = TypeVar("T")
#: Reboots most: they are what this is about.
_WISHES = (
    *(Action.REBOOT,) * 6, *(Action.SHUT_DOWN,) * 2, *(Action.RUN,) * 4, *(Action.POWER_CYCLE,) * 2,
    *(Action.POWER_OFF,) * 2, Action.SUSPEND, Action.RESUME,
)  # fmt: skip
_STEERING = ("force-now", "extend", "cancel")
#: The part of all that is asked for which steers an operation that is running.
_STEERS = 0.15


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes:
        mark: What it gave as its reason, which finds its operation again.
        accepted: What it was answered; None when the answer was lost.
    """

    mark: str
    accepted: bool | None


class Crowd:
    """Some people, a thread each.

    Args:
        delays: Graceful delays they ask for, in seconds.
        pause: The longest they wait between two requests, in seconds.

    Attributes:
        asked: What they have asked for.
        broken: Why a thread ended early, which none may.
    """

    def __init__(self, portal: Instance, seed: int, *, size: int, delays: tuple[int, ...], pause: float) -> None:
        self._portal, self._delays, self._pause = portal, delays, pause
        self._vms = list(VirtualMachine.objects.order_by("name").values_list("pk", flat=True))
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._live, args=(number, random.Random(f"{seed} {number}")), daemon=True)
            for number in range(size)
        ]
        self.asked: list[Asked] = []
        self.broken: list[Exception] = []

    def start(self) -> None:
        """Let them begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let them finish what they are asking for, and go home."""
        self._stop.set()
        for thread in self._threads:
            thread.join(90)

    def _live(self, number: int, chance: random.Random) -> None:
        try:
            self._ask_on(number, chance)
        except Exception as error:  # noqa: BLE001  (told, and then the run has failed)
            self.broken.append(error)
        finally:
            connections.close_all()

    def _ask_on(self, number: int, chance: random.Random) -> None:
        person: Person | None = None
        count = 0
        while not self._stop.wait(chance.uniform(0, self._pause)):
            if person is None:
                person = _answer(self._portal.person)
            elif chance.random() < _STEERS:
                self._steer(person, chance)
            else:
                count += 1
                self._ask(person, chance, f"chaos {number}.{count}")

    def _ask(self, person: Person, chance: random.Random, mark: str) -> None:
        action = chance.choice(_WISHES)
        fields: dict[str, object] = {"reason": mark}
        if action in (Action.REBOOT, Action.SHUT_DOWN):
            fields |= {"force": chance.choice(["", "yes", "no"]), "graceful_delay": chance.choice(self._delays)}
        machine = VirtualMachine(pk=chance.choice(self._vms))
        self.asked.append(Asked(mark, _accepted(_answer(lambda: person.try_to(action, machine, **fields)))))

    def _steer(self, person: Person, chance: random.Random) -> None:
        running = list(Operation.objects.active().filter(delay__isnull=False).order_by("created_at")[:20])
        if running:
            operation, verb = chance.choice(running), chance.choice(_STEERING)
            _answer(lambda: person.steer(operation, verb))


def _answer(ask: Callable[[], T]) -> T | None:
    """Return what was answered; None where the web server was killed meanwhile, or its answer is of no use."""
    try:
        return ask()
    except (OSError, http.client.HTTPException, AssertionError):
        return None


def _accepted(answer: Answer | None) -> bool | None:
    """Say what a request was answered: who is accepted is led back to the list."""
    if answer is None or answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    return answer.status == http.HTTPStatus.OK and urlsplit(answer.url).path == "/"

"""One run: people ask and processes die, then everything comes to rest and is judged."""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import datetime, timedelta
from functools import partial

from django.utils import timezone

from tests.acceptance.instance import Instance
from tests.chaos.hosts import Host
from tests.chaos.people import Asked, Crowd
from tests.chaos.report import Report
from tests.faults.oracle import LATEST, Oracle, Violation
from tests.support.waiting import wait_until
from vms.models import Operation, VirtualMachine

VICTIMS = ("web", "worker", "beat", "watcher", "chores", "redis", "libvirtd")
PEOPLE = 4
#: The fewest operations that make a run of so many minutes, or more, worth anything; shorter ones in proportion.
ENOUGH, ENOUGH_IN = 500, 10.0
#: A VM whose agent never connects counts as up after a minute; guests may have something in mind until then, too.
_REST_WITHIN = 100.0


def run(host: Host, *, minutes: float, seed: int) -> Report:
    """Run chaos on a host.

    Args:
        minutes: How long things go wrong.
    """
    report = Report(seed, minutes)
    portal = Instance(host.directory / "home", host.uri)
    try:
        portal.start()
        with portal.database():
            known = VirtualMachine.objects.exclude(status="unknown")
            wait_until(lambda: known.count() == host.count, "all VMs are known", 120, 0.2)
            crowd = Crowd(portal, seed, size=PEOPLE, delays=host.delays, pause=host.pause)
            crowd.start()
            report.kills = _rage(portal, host, random.Random(f"kills {seed}"), minutes)
            crowd.stop()
            _judge(report, host, crowd, last_fault=timezone.now())
    finally:
        portal.stop()
    require_enough(report)
    return report


def _rage(portal: Instance, host: Host, chance: random.Random, minutes: float) -> Counter[str]:
    """Kill at random until the time is over; sometimes two at once."""
    kills: Counter[str] = Counter()
    until = time.monotonic() + minutes * 60
    waiting: list[str] = []
    while time.monotonic() < until:
        time.sleep(chance.uniform(*host.kill_every))
        for _ in range(chance.choice((1, 1, 2))):
            # Each once before any of them again: a short run has some of every kind, too.
            waiting = waiting or chance.sample(VICTIMS, len(VICTIMS))
            victim = waiting.pop()
            if victim == "libvirtd":
                host.kill()
            else:
                portal.kill(victim)
            kills[victim] += 1
    return kills


def _judge(report: Report, host: Host, crowd: Crowd, last_fault: datetime) -> None:
    """Wait until all is at rest, and check every invariant."""
    _wait_for_the_end(last_fault)
    operations = list(Operation.objects.select_related("vm"))
    report.operations = len(operations)
    report.outcomes.update(operation.outcome or f"still {operation.stage}" for operation in operations)
    report.wrong += [f"a person's thread ended early: {error!r}" for error in crowd.broken]
    compare_with_answers(report, crowd.asked, Counter(operation.reason for operation in operations))

    oracle = Oracle(timedelta(seconds=host.grain), partial(_note_violation, report))
    oracle.check(host.log())
    for operation in operations:
        try:
            oracle.check_deadline(operation, last_fault)
        except Violation as violation:
            report.stuck += 1
            report.wrong.append(str(violation))
    _check_rest(report, oracle, host)


def _wait_for_the_end(last_fault: datetime) -> None:
    """Wait until no operation is active, or the last of them should have ended."""

    def ended() -> bool:
        deadlines = list(Operation.objects.active().values_list("hard_deadline_at", flat=True))
        return not deadlines or timezone.now() > max(*deadlines, last_fault) + 2 * LATEST

    wait_until(ended, "all operations have ended", 3600, 1.0)


def _note_violation(report: Report, violation: Violation) -> None:
    report.doubled += violation.doubled
    report.wrong.append(str(violation))


def _check_rest(report: Report, oracle: Oracle, host: Host) -> None:
    """Check each VM once it shows what it is."""
    wrong: dict[str, Violation] = {}

    def all_at_rest() -> bool:
        wrong.clear()
        for vm in VirtualMachine.objects.select_related("host"):
            try:
                oracle.check_rest(vm, host.inside(vm.uuid))
            except Violation as violation:
                wrong[vm.name] = violation
        return not wrong

    until = time.monotonic() + _REST_WITHIN
    while not all_at_rest() and time.monotonic() < until:
        time.sleep(1.0)
    report.stuck += len(wrong)
    report.wrong += map(str, wrong.values())


def compare_with_answers(report: Report, asked: list[Asked], found: Counter[str]) -> None:
    """What was accepted has exactly one operation, what was refused none; where the answer was lost, one or none."""
    for one in asked:
        count = found[one.mark]
        report.answers[{True: "accepted", False: "refused", None: "no answer"}[one.accepted]] += 1
        if one.accepted and count == 0:
            report.lost += 1
            report.wrong.append(f"{one.mark} was accepted, and has no operation")
        if one.accepted is False and count:
            report.wrong.append(f"{one.mark} was refused, and has an operation")
        if count > 1:
            report.doubled += 1
            report.wrong.append(f"{one.mark} has {count} operations")


def require_enough(report: Report) -> None:
    """A run in which too little happened shows nothing."""
    enough = round(ENOUGH * min(1, report.minutes / ENOUGH_IN))
    if report.operations < enough:
        report.wrong.append(f"only {report.operations} operations; {enough} are needed")
    if missing := [victim for victim in VICTIMS if not report.kills[victim]]:
        report.wrong.append(f"never killed: {', '.join(missing)}")

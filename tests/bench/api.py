"""`./dev bench api`: what VMs cost the server over the REST API, as Django's own test client has it answered."""

from __future__ import annotations

import os

from rest_framework.test import APIClient

from tests.bench import fleet, pages
from tests.bench.figures import say, say_where
from vms.models import VirtualMachine

#: What is aimed at for a whole list, with nothing asked about who asks: that costs the same for each request.
P95_MS, QUERIES = 300.0, 8
_VMS = "/ovirt-engine/api/vms"
_FORMS = ("application/xml", "application/json")

#: Each answer by the words of its question.
ANSWERS = {
    "all VMs": "",
    "all VMs with their tags": "?follow=tags",
    "search status=up sortby name desc": "?search=status%3Dup+sortby+name+desc",
    "search tag=team-07": "?search=tag%3Dteam-07",
    "search for a word": "?search=web",
    "the first 101 VMs": "?max=101",
    "one VM": "/{vm}",
}


def run(*, vms: int, times: int) -> int:
    """Measure every answer in both forms; returns how many cost more than is aimed at."""
    say_where()
    with pages.empty_database():
        fleet.make(vms)
        pages.analyze()
        say(f"{vms} VMs, each answer {times} times; aim: p95 {P95_MS:.0f} ms, {QUERIES} queries")
        one = VirtualMachine.objects.filter(tags__name="team-07")[0].pk
        too_much = 0
        for who, person in pages.people().items():
            for form in _FORMS:
                say(f"\n| {who}, {form} | median ms | p95 ms | processor ms | queries |\n|---|---|---|---|---|")
                client = APIClient(headers={"Accept": form})
                client.force_authenticate(person)
                for answer, question in ANSWERS.items():
                    found = pages.cost(client, _VMS + question.format(vm=one), times, b"power_down_policy")
                    beyond = found.beyond(P95_MS, QUERIES)
                    say(f"| {answer} | {found.figures}{' **too much**' * beyond} |")
                    too_much += beyond
        say(f"\nload average at the end: {os.getloadavg()[0]:.1f}; answers that cost too much: {too_much}")
    return too_much

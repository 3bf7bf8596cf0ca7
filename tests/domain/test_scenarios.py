"""Every story of `scenarios.py` runs as it is written there, to the second and to the call."""

from __future__ import annotations

import pytest

from tests.domain.scenarios import SCENARIOS, Scenario
from vms.domain.decide import Call, Note
from vms.domain.operation import CALLS

STORIES = [
    pytest.param(story, id=story.name, marks=[pytest.mark.behaviour(*story.rows)] if story.rows else [])
    for story in SCENARIOS
]


@pytest.mark.parametrize("story", STORIES)
def test_story(story: Scenario) -> None:
    done = story.driver().run()

    assert ", ".join(done.calls) == story.calls
    assert (done.outcome, done.failure) == (story.outcome, story.failure)
    assert done.now == story.ends_at


def test_the_stories_make_every_call_there_is_and_the_set_of_calls_holds_nothing_else() -> None:
    moves = [move for story in SCENARIOS for _, _, move in story.driver().run().moves]
    assert {move.kind for move in moves if isinstance(move, Call)} == CALLS
    assert not {move.kind for move in moves if isinstance(move, Note)} & CALLS

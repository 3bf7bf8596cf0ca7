"""Every story of `scenarios.py` runs as it is written there, to the second and to the call."""

from __future__ import annotations

import pytest

from tests.domain.scenarios import SCENARIOS, Scenario

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

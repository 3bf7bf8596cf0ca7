"""Stages and transitions as data, and the diagram that is made of them."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from tests.domain.scenarios import SCENARIOS
from tests.domain.simulator import EPOCH, moment, policy_of
from vms.domain.decide import Wait, decide
from vms.domain.observation import DomainState, Observation
from vms.domain.operation import (
    ACTIVE_STAGES,
    ALLOWANCE,
    ASKS,
    FIRST_STAGES,
    PATIENT_STAGES,
    STAGES_IN_FLIGHT,
    SUCCESSES,
    TRANSITIONS,
    Operation,
    Outcome,
    Stage,
    Step,
    StepKind,
    diagram,
    hard_deadline,
)
from vms.domain.power import Action


def test_the_diagram_draws_every_transition_and_no_other() -> None:
    first, *lines = diagram()
    assert first == "stateDiagram-v2"
    drawn = [re.fullmatch(r"    (\S+) --> (\S+)", line) for line in lines]
    arrows = [match.groups() for match in drawn if match]
    assert len(arrows) == len(lines) == len(set(arrows))
    ends = {"[*]": Stage.ENDED}
    firsts = len(FIRST_STAGES)
    assert arrows[:firsts] == [("[*]", Stage.QUEUED), ("[*]", Stage.ACCEPTED)]
    assert {(Stage(a), ends.get(b) or Stage(b)) for a, b in arrows[firsts:]} == {
        (stage, target) for stage, targets in TRANSITIONS.items() for target in targets
    }


def test_every_stage_is_reachable_and_leads_to_the_end() -> None:
    reached = set(FIRST_STAGES)
    while more := {target for stage in reached for target in TRANSITIONS[stage]} - reached:
        reached |= more
    assert reached == set(Stage) == set(TRANSITIONS)
    assert all(Stage.ENDED in TRANSITIONS[stage] for stage in ACTIVE_STAGES)


def test_an_operation_that_has_ended_goes_nowhere() -> None:
    assert TRANSITIONS[Stage.ENDED] == frozenset()
    assert Stage.ENDED not in ACTIVE_STAGES


@pytest.mark.behaviour(33)
def test_an_operation_that_queues_is_active_and_begins_from_the_beginning_or_ends() -> None:
    assert Stage.QUEUED in ACTIVE_STAGES
    assert Stage.QUEUED not in PATIENT_STAGES
    assert TRANSITIONS[Stage.QUEUED] == {Stage.ACCEPTED, Stage.ENDED}
    assert not any(Stage.QUEUED in targets for targets in TRANSITIONS.values())


@pytest.mark.parametrize("stage", [Stage.QUEUED, Stage.ENDED])
def test_nothing_is_decided_for_an_operation_that_is_not_in_flight(stage: Stage) -> None:
    assert stage not in STAGES_IN_FLIGHT
    with pytest.raises(ValueError, match="queues or has ended"):
        decide(Operation(Action.RUN, stage, EPOCH), Observation(DomainState.DOWN), EPOCH)


def test_every_transition_is_taken_in_some_story() -> None:
    taken: set[tuple[Stage, Stage]] = set()
    for story in SCENARIOS:
        done = story.driver().run()
        stages = [stage for _, stage, _ in done.moves] + [done.op.stage]
        taken |= {(a, b) for a, b in pairwise(stages) if a is not b}
    decided = {stage: targets for stage, targets in TRANSITIONS.items() if stage is not Stage.QUEUED}
    assert taken == {(stage, target) for stage, targets in decided.items() for target in targets}


def test_every_outcome_that_deciding_can_bring_about_is_seen_in_some_story() -> None:
    assert {story.outcome for story in SCENARIOS} == set(Outcome) - {Outcome.SUPERSEDED}
    assert not SUCCESSES & {Outcome.GAVE_UP, Outcome.FAILED, Outcome.CANCELLED, Outcome.SUPERSEDED}


def test_a_guest_is_given_time_only_before_it_is_powered_off() -> None:
    assert set(PATIENT_STAGES) == {Stage.ACCEPTED, Stage.WAITING}


@pytest.mark.behaviour(28)
@pytest.mark.parametrize("action", Action)
def test_every_action_has_a_hard_deadline_beyond_its_graceful_delay(action: Action) -> None:
    assert hard_deadline(action, None, EPOCH) == EPOCH + ALLOWANCE[action] > EPOCH
    policy = policy_of(force=True, delay=600)
    assert hard_deadline(action, policy, EPOCH) == hard_deadline(action, None, EPOCH) + (moment(600) - EPOCH)


def test_the_journal_can_be_asked() -> None:
    steps = (
        Step(StepKind.PREPARE, moment(0), moment(0), ok=True),
        Step(StepKind.PRESS_BUTTON, moment(1), moment(1), ok=True),
        Step(StepKind.ASK_AGENT, moment(2)),
        Step(StepKind.PRESS_BUTTON, moment(3)),
        Step(StepKind.PRESS_BUTTON, moment(4)),
    )
    op = Operation(Action.REBOOT, Stage.WAITING, moment(99), steps=steps)
    assert op.all(*ASKS) == steps[1:]
    assert op.all(StepKind.PRESS_BUTTON) == (steps[1], steps[3], steps[4])
    assert op.last(StepKind.ASK_AGENT, StepKind.PREPARE) is steps[2]
    assert op.last(StepKind.START) is None
    assert op.unanswered_in_a_row(StepKind.PRESS_BUTTON) == 2
    assert op.unanswered_in_a_row(StepKind.PREPARE) == 0


@pytest.mark.parametrize("stage", STAGES_IN_FLIGHT)
def test_every_wait_ends_by_the_hard_deadline(stage: Stage) -> None:
    failed = tuple(Step(kind, moment(0), moment(0)) for kind in (StepKind.START, StepKind.DESTROY, StepKind.PREPARE))
    op = Operation(Action.REBOOT, stage, moment(0.5), policy_of(force=True, delay=15), steps=failed)
    for state in DomainState:
        move = decide(op, Observation(state, agent_channel=True), moment(0.2))
        assert not isinstance(move, Wait) or move.until <= op.hard_deadline_at

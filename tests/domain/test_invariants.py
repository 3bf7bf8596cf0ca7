"""What holds for every guest, policy, crash and other hand that hypothesis can think of."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.domain.simulator import LATE_BY, Driver, Person, accepted, policy_of, seconds
from tests.domain.toy import Ear, Hand, Temper, Vm
from vms.domain.decide import Call, Finish, Note
from vms.domain.decide.pace import MAX_UNANSWERED_ASKS, RETRY_GAPS
from vms.domain.observation import DomainState
from vms.domain.operation import SUCCESSES, TRANSITIONS, Failure, Outcome, Stage, StepKind
from vms.domain.power import FORCEFUL_ACTIONS, GRACEFUL_ACTIONS, Action

pytestmark = pytest.mark.behaviour(25, 28)

BRING_DOWN = sorted(GRACEFUL_ACTIONS | FORCEFUL_ACTIONS)
times = st.integers(0, 400).map(lambda tenths: tenths / 10)
ears = st.sampled_from([*Ear, None])
tempers = st.builds(
    Temper,
    agent=ears,
    button=ears,
    takes=st.sampled_from([0, 0.5, 3, 8, 20, 45]),
    boots=st.sampled_from([0, 2, 30, 90]),
    agent_late=st.sampled_from([0, 0, 1, 12]),
    resets=st.booleans(),
    panics=st.booleans(),
    preserved=st.booleans(),
    lost_presses=st.sampled_from([0, 0, 3]),
    agent_leaves=st.booleans(),
    saves=st.sampled_from([0, 4]),
)
policies = st.builds(
    lambda force, delay: policy_of(force=force, delay=delay if force else max(1, delay)),
    st.booleans(),
    st.sampled_from([0, 1, 7, 15, 30]),
)
troubles = st.sampled_from(
    [StepKind.PREPARE, StepKind.DESTROY, StepKind.START, StepKind.SAVE, StepKind.UNDEFINE, StepKind.REMOVE_DISK]
)
away = st.one_of(
    st.just((0.0, 0.0)), st.tuples(times, st.sampled_from([0.5, 10, 1000])).map(lambda span: (span[0], sum(span)))
)


@st.composite
def lives(draw: st.DrawFn, *, actions: list[Action] = list(Action), hands: bool = True) -> Driver:  # noqa: B006
    """One operation's life; without `hands` nobody else touches the VM, and no call fails."""
    vm = Vm(
        draw(tempers),
        state=draw(st.sampled_from(DomainState)) if hands else DomainState.RUNNING,
        managed_save=draw(st.booleans()) if hands else False,
        faults=draw(st.dictionaries(troubles, st.integers(1, 7), max_size=2)) if hands else {},
        meddling=draw(st.dictionaries(troubles, st.sampled_from(Hand), max_size=1)) if hands else {},
        away=draw(away) if hands else (0, 0),
    )
    if vm.state is not DomainState.DOWN:
        vm.managed_save = False
    for at, hand in draw(st.lists(st.tuples(times, st.sampled_from(Hand)), max_size=2)) if hands else ():
        vm.later(at, later_hand(vm, hand))
    return Driver(
        vm,
        accepted(
            draw(st.sampled_from(actions)), draw(policies), disks=draw(st.sampled_from([(), ("/a",), ("/a", "/b")]))
        ),
        dies_at=draw(st.sets(st.integers(0, 25), max_size=4)),
        recovery=draw(st.sampled_from([0.1, 1, 6, 40])),
        deaf=draw(st.booleans()),
        people=draw(st.lists(st.tuples(times, st.sampled_from(Person)), max_size=2)),
    )


def later_hand(vm: Vm, hand: Hand) -> Callable[[], None]:
    return lambda: vm.hand(hand)


def marked_runs(done: Driver) -> list[int]:
    """Return the runs that this operation put its mark on."""
    return [called.run for called in done.vm.log if called.kind is StepKind.PREPARE and called.effect]


often = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)


@often
@given(lives())
def test_it_ends_by_its_hard_deadline(life: Driver) -> None:
    """But for a worker that is replaced late, and the few relents that may follow."""
    done = life.run()
    event(f"{done.op.action} {done.outcome} {done.failure}")
    slack = (len(done.dies_at) + 1) * done.recovery
    assert done.now <= seconds(done.op.hard_deadline_at) + slack
    assert len(done.op.all(StepKind.RELENT)) <= MAX_UNANSWERED_ASKS
    assert (done.failure is Failure.NONE) is (done.outcome is not Outcome.FAILED)


@often
@given(lives())
def test_every_move_takes_an_allowed_transition(life: Driver) -> None:
    for _, stage, move in life.run().moves:
        if isinstance(move, Call | Note):
            assert move.stage is stage or move.stage in TRANSITIONS[stage]
        if isinstance(move, Finish):
            assert Stage.ENDED in TRANSITIONS[stage]


@often
@given(lives(actions=sorted(GRACEFUL_ACTIONS)))
def test_a_graceful_action_never_powers_off_without_force(life: Driver) -> None:
    """Nor before the delay has passed, unless there is nobody to ask or a person said so."""
    was_forced = life.op.policy is not None and life.op.policy.force
    done = life.run()
    policy = done.op.policy
    assert policy is not None
    destroys = done.op.all(StepKind.DESTROY)
    if not policy.force:
        assert not destroys
        assert not [called for called in done.vm.log if called.kind is StepKind.DESTROY]
    said_so = done.op.last(StepKind.FORCE_NOW) is not None
    if destroys and was_forced and not said_so and policy.delay and done.vm.temper.button is not None:
        assert done.op.asked_at is not None
        assert (destroys[0].at - done.op.asked_at).total_seconds() >= policy.delay


@often
@given(lives())
def test_nothing_is_powered_off_or_started_twice(life: Driver) -> None:
    """A second effective start is possible only where another hand, or the guest, ended a run nobody had seen yet."""
    done = life.run()
    vm = done.vm
    vm.advance(done.now + LATE_BY)
    assert len(done.effective(StepKind.DESTROY)) <= 1
    assert len(done.effective(StepKind.START)) <= 1 + vm.ended_by_others
    assert len(done.op.all(StepKind.START)) <= len(RETRY_GAPS) + 1
    assert len(done.op.all(StepKind.DESTROY)) <= len(RETRY_GAPS) + 1


@often
@given(lives(actions=BRING_DOWN))
def test_a_new_run_is_never_powered_off(life: Driver) -> None:
    """A run that began after the one we marked; without a mark (a hung VM) only the known end of it protects."""
    done = life.run()
    done.vm.advance(done.now + LATE_BY)
    ended = [called.run for called in done.vm.log if called.kind is StepKind.DESTROY and called.effect]
    if done.op.run_token is not None:
        assert all(run in marked_runs(done) for run in ended)


@often
@given(lives(actions=[Action.REBOOT, Action.POWER_CYCLE]))
def test_a_reboot_that_succeeds_has_the_vm_running_a_new_run(life: Driver) -> None:
    done = life.run()
    if done.outcome in SUCCESSES:
        assert not done.vm.down
        assert done.vm.run not in marked_runs(done)


@often
@given(lives(actions=[Action.SHUT_DOWN, Action.POWER_OFF]))
def test_a_shut_down_that_succeeds_ends_down_or_in_another_hands_new_run(life: Driver) -> None:
    done = life.run()
    if done.outcome in SUCCESSES - {Outcome.OTHER_HAND}:
        assert done.vm.down
    elif done.outcome is Outcome.OTHER_HAND:
        assert done.vm.down or done.vm.run not in marked_runs(done)
    assert not done.op.all(StepKind.START)


@often
@given(lives(actions=sorted(GRACEFUL_ACTIONS)))
def test_a_guest_that_is_left_running_may_reset_again(life: Driver) -> None:
    done = life.run()
    lost_relents = sum(step.answered_at is None for step in done.op.all(StepKind.RELENT))
    if done.outcome in (Outcome.GAVE_UP, Outcome.CANCELLED) and lost_relents < MAX_UNANSWERED_ASKS:
        assert not done.vm.armed
        assert done.outcome is Outcome.CANCELLED or done.vm.run in marked_runs(done)
        assert not done.effective(StepKind.DESTROY, StepKind.START)


@often
@given(lives(actions=[Action.REBOOT], hands=False))
def test_a_reboot_that_nobody_disturbs_ends_by_its_policy_whatever_dies(life: Driver) -> None:
    """No other hand, no failing call: exactly one start if the VM went down, and Up in the old run if not."""
    done = life.run()
    nobody = done.failure is Failure.NO_WAY_TO_ASK
    assert done.outcome is not Outcome.FAILED or nobody
    if done.outcome in (Outcome.GAVE_UP, Outcome.CANCELLED) or nobody:
        assert done.effective(StepKind.START) == [] == done.effective(StepKind.DESTROY)
    else:
        assert done.effective(StepKind.START) == [StepKind.START]
        assert done.vm.runs == 2
        assert (done.outcome is Outcome.FORCED) == bool(done.effective(StepKind.DESTROY))


@often
@given(lives())
def test_no_disk_goes_but_the_chosen_ones_of_a_vm_that_was_removed(life: Driver) -> None:
    chosen = set(life.op.disks)
    done = life.run()
    lost = {"/a", "/b"} - done.vm.disks
    assert lost <= chosen
    if lost:
        assert done.op.action is Action.REMOVE
        assert done.op.last(StepKind.UNDEFINE) is not None
    if done.op.action is Action.REMOVE and done.outcome is Outcome.DONE:
        assert lost == chosen

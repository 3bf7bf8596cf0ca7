"""Named stories of one operation on one VM, each with all that the hypervisor is asked, to the second, and the end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from tests.domain.simulator import Driver, Person, accepted, policy_of
from tests.domain.toy import Ear, Hand, Temper, Vm
from vms.domain.observation import DomainState
from vms.domain.operation import Failure, Outcome, StepKind
from vms.domain.power import Action
from vms.domain.run_options import AS_STORED, RunOptions

_OBEDIENT = Temper()


@dataclass(frozen=True)
class Scenario:
    """A story.

    Attributes:
        calls: Every call as the hypervisor saw it: second and name.
        ends_at: Second in which the operation ended.
        rows: Rows of the behaviour specification that it shows.
    """

    name: str
    action: Action
    calls: str
    ends_at: float
    outcome: Outcome
    failure: Failure = Failure.NONE
    temper: Temper = _OBEDIENT
    force: bool = False
    delay: int = 15
    state: DomainState = DomainState.RUNNING
    managed_save: bool = False
    faults: Mapping[StepKind, int] = field(default_factory=dict)
    meddling: Mapping[StepKind, Hand] = field(default_factory=dict)
    hands: tuple[tuple[float, Hand], ...] = ()
    people: tuple[tuple[float, Person], ...] = ()
    away: tuple[float, float] = (0, 0)
    inside: bool = False
    deaf: bool = False
    options: RunOptions = AS_STORED
    rows: tuple[int, ...] = ()
    disks: tuple[str, ...] = ()

    def driver(self, dies_at: Collection[int] = (), *, recovery: float = 1) -> Driver:
        vm = Vm(
            self.temper,
            state=self.state,
            managed_save=self.managed_save,
            faults=self.faults,
            meddling=self.meddling,
            away=self.away,
        )
        for at, hand in self.hands:
            vm.later(at, lambda hand=hand: vm.hand(hand))  # type: ignore[misc]
        op = accepted(self.action, policy_of(force=self.force, delay=self.delay), inside=self.inside)
        op = replace(op, options=self.options, disks=self.disks)
        return Driver(vm, op, dies_at=dies_at, recovery=recovery, deaf=self.deaf, people=self.people)


_O, _A, _F, _P = Outcome, Action, Failure, Person
_ACPI = Temper(agent=None)
_STUBBORN = Temper(Ear.IGNORES, Ear.IGNORES)
_SLOW = Temper(takes=40)
_DEAF = Temper(agent=None, button=None)
_RESETS = Temper(resets=True)
_NEVER = 10_000

# fmt: off
SCENARIOS = (
    # Guests by temper, policy off and on
    Scenario("an obedient guest is rebooted through its agent", _A.REBOOT,
             "0 prepare, 0 ask_agent, 1 start",
             4, _O.CLEAN_AGENT, rows=(3, 5, 35)),
    Scenario("an obedient guest is shut down through its agent", _A.SHUT_DOWN,
             "0 prepare, 0 ask_agent",
             1, _O.CLEAN_AGENT, rows=(3, 5)),
    Scenario("a guest without an agent is rebooted with its button", _A.REBOOT,
             "0 prepare, 0 press_button, 1 start",
             1, _O.CLEAN_ACPI, temper=_ACPI, rows=(5, 35)),
    Scenario("an agent that refuses is not waited for", _A.SHUT_DOWN,
             "0 prepare, 0 ask_agent failed, 0 press_button",
             1, _O.CLEAN_ACPI, temper=Temper(Ear.REFUSES), rows=(5,)),
    Scenario("a guest whose agent did nothing about the request has its button pressed at half the delay", _A.SHUT_DOWN,
             "0 prepare, 0 ask_agent, 7.5 press_button",
             8.5, _O.CLEAN_ACPI, temper=Temper(Ear.IGNORES), rows=(5,)),
    Scenario("an agent that appears late is asked at once", _A.SHUT_DOWN,
             "0 prepare, 0 press_button, 8 ask_agent",
             9, _O.CLEAN_AGENT, temper=Temper(button=Ear.IGNORES, agent_late=8), rows=(5,)),
    Scenario("an agent without a button is given the whole delay", _A.SHUT_DOWN,
             "0 prepare, 0 ask_agent, 15 relent",
             15, _O.GAVE_UP, temper=Temper(Ear.IGNORES, None), rows=(1, 4)),
    Scenario("an agent that leaves when its guest goes down is given time without a button", _A.REBOOT,
             "0 prepare, 0 ask_agent, 5 start",
             8, _O.CLEAN_AGENT, temper=Temper(button=None, takes=5, agent_leaves=True), force=True),
    Scenario("an agent that leaves when its guest goes down is given time before the button", _A.REBOOT,
             "0 prepare, 0 ask_agent, 5 start",
             8, _O.CLEAN_AGENT, temper=Temper(takes=5, agent_leaves=True)),
    Scenario("a stubborn guest is given up on at the delay", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7.5 press_button, 15 relent",
             15, _O.GAVE_UP, temper=_STUBBORN, rows=(1, 4)),
    Scenario("a stubborn guest is powered off at the delay and started again", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7.5 press_button, 15 destroy, 15 start",
             18, _O.FORCED, temper=_STUBBORN, force=True, rows=(2, 4)),
    Scenario("a stubborn guest is powered off at the delay", _A.SHUT_DOWN,
             "0 prepare, 0 ask_agent, 7.5 press_button, 15 destroy",
             15, _O.FORCED, temper=_STUBBORN, force=True, rows=(2, 3, 4)),
    Scenario("a deaf button is pressed every ten seconds", _A.SHUT_DOWN,
             "0 prepare, 0 press_button, 10 press_button, 20 press_button, 30 relent",
             30, _O.GAVE_UP, temper=Temper(None, Ear.IGNORES), delay=30, rows=(5,)),
    Scenario("a slow guest is given up on and left to itself", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7.5 press_button, 15 relent",
             15, _O.GAVE_UP, temper=_SLOW, rows=(1, 21)),
    Scenario("a slow guest is powered off where force is on", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7.5 press_button, 15 destroy, 15 start",
             18, _O.FORCED, temper=_SLOW, force=True, rows=(2,)),
    Scenario("a slow guest that is given enough time goes down by itself", _A.REBOOT,
             "0 prepare, 0 ask_agent, 40 start",
             43, _O.CLEAN_AGENT, temper=_SLOW, delay=120, force=True, rows=(4,)),
    Scenario("nobody to ask and force on means off at once", _A.REBOOT,
             "0 prepare, 0 destroy, 0 start",
             0, _O.FORCED, temper=_DEAF, force=True, rows=(6,)),
    Scenario("nobody to ask and force off is an error at once", _A.REBOOT,
             "0 prepare, 0 relent",
             0, _O.FAILED, _F.NO_WAY_TO_ASK, temper=_DEAF, rows=(6,)),
    Scenario("an agent that refuses and no button is an error at once", _A.SHUT_DOWN,
             "0 prepare, 0 ask_agent failed, 0 relent",
             0, _O.FAILED, _F.NO_WAY_TO_ASK, temper=Temper(Ear.REFUSES, None), rows=(6,)),
    Scenario("no delay and force asks nobody", _A.REBOOT,
             "0 prepare, 0 destroy, 0 start",
             3, _O.FORCED, force=True, delay=0, rows=(4,)),
    Scenario("a guest that resets when told to halt ends down all the same", _A.SHUT_DOWN,
             "0 prepare, 0 ask_agent",
             1, _O.CLEAN_AGENT, temper=_RESETS, rows=(16,)),
    Scenario("a guest that resets when told to halt is started once", _A.REBOOT,
             "0 prepare, 0 ask_agent, 1 start",
             4, _O.CLEAN_AGENT, temper=_RESETS, rows=(16,)),
    # Restart inside the guest
    Scenario("a guest is restarted inside", _A.REBOOT,
             "0 prepare, 0 ask_restart",
             4, _O.GUEST_REBOOTED, inside=True, rows=(16,)),
    Scenario("a restart that nobody heard of shows in the agent that left and came back", _A.REBOOT,
             "0 prepare, 0 ask_restart",
             4, _O.GUEST_REBOOTED, inside=True, deaf=True),
    Scenario("a guest that halts when told to restart is started again", _A.REBOOT,
             "0 prepare, 0 ask_restart, 1 start",
             4, _O.CLEAN_AGENT, temper=Temper(halts=True), inside=True, rows=(16,)),
    Scenario("without an agent a restart inside becomes shut down and run", _A.REBOOT,
             "0 prepare, 0 prepare, 0 press_button, 1 start",
             1, _O.CLEAN_ACPI, temper=_ACPI, inside=True),
    Scenario("an agent that refuses to restart is not waited for", _A.REBOOT,
             "0 prepare, 0 ask_restart failed, 0 prepare, 0 ask_agent failed, 0 press_button, 1 start",
             4, _O.CLEAN_ACPI, temper=Temper(Ear.REFUSES), inside=True),
    Scenario("a stubborn guest that is to restart inside is given up on", _A.REBOOT,
             "0 prepare, 0 ask_restart",
             15, _O.GAVE_UP, temper=_STUBBORN, inside=True, rows=(1, 4)),
    Scenario("a stubborn guest that is to restart inside is powered off and started again", _A.REBOOT,
             "0 prepare, 0 ask_restart, 15 destroy, 15 start",
             18, _O.FORCED, temper=_STUBBORN, force=True, inside=True, rows=(2, 4)),
    Scenario("a restart inside that is cancelled leaves the guest alone", _A.REBOOT,
             "0 prepare, 0 ask_restart",
             9, _O.CANCELLED, temper=_STUBBORN, inside=True, people=((9, _P.CANCEL),), rows=(9,)),
    Scenario("a guest that panics when told to halt is down, but not clean", _A.SHUT_DOWN,
             "0 prepare, 0 ask_agent",
             1, _O.DONE, temper=Temper(panics=True)),
    Scenario("a guest that panics when told to halt is started again", _A.REBOOT,
             "0 prepare, 0 ask_agent, 1 start",
             4, _O.DONE, temper=Temper(panics=True)),
    Scenario("a guest that panics and is preserved is waited for as a paused one, and given up on", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7.5 press_button, 15 relent",
             15, _O.GAVE_UP, temper=Temper(panics=True, preserved=True), rows=(1, 20)),
    Scenario("a guest that panics and is preserved is powered off where force is on", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7.5 press_button, 15 destroy, 15 start",
             18, _O.FORCED, temper=Temper(panics=True, preserved=True), force=True, rows=(2, 20)),
    Scenario("a guest that loses three presses hears the fourth", _A.REBOOT,
             "0 prepare, 0 press_button, 10 press_button, 20 press_button, 30 press_button, 31 start",
             31, _O.CLEAN_ACPI, temper=Temper(agent=None, lost_presses=3), delay=40, rows=(5,)),
    Scenario("an agent that answers too late is not waited for", _A.REBOOT,
             "0 prepare, 0 ask_agent failed, 0 press_button, 1 start",
             4, _O.CLEAN_ACPI, temper=Temper(Ear.HEARS_LATE), rows=(5,)),
    Scenario("a guest that obeys an agent that answered too late has gone down", _A.REBOOT,
             "0 prepare, 0 ask_agent failed, 0 press_button, 7 start",
             10, _O.CLEAN_ACPI, temper=Temper(Ear.HEARS_LATE, Ear.IGNORES), rows=(5,)),
    Scenario("a guest that hangs as it boots counts as up after a minute", _A.REBOOT,
             "0 prepare, 0 ask_agent, 1 start",
             61, _O.CLEAN_AGENT, temper=Temper(boots=_NEVER), rows=(35,)),
    # Power off, power cycle
    Scenario("power off asks nobody", _A.POWER_OFF,
             "0 prepare, 0 destroy",
             0, _O.FORCED),
    Scenario("power cycle asks nobody and runs it again", _A.POWER_CYCLE,
             "0 prepare, 0 destroy, 0 start",
             3, _O.FORCED, rows=(7,)),
    Scenario("a paused VM is power cycled", _A.POWER_CYCLE,
             "0 prepare, 0 destroy, 0 start",
             3, _O.FORCED, state=DomainState.PAUSED, rows=(20,)),
    Scenario("a hung VM that takes no token is powered off", _A.POWER_OFF,
             "0 prepare failed, 0 destroy",
             0, _O.FORCED, faults={StepKind.PREPARE: _NEVER}),
    Scenario("power off discards saved memory", _A.POWER_OFF,
             "0 discard_memory",
             0, _O.DONE, state=DomainState.DOWN, managed_save=True),
    Scenario("power off of a VM that is down already does nothing", _A.POWER_OFF,
             "",
             0, _O.OTHER_HAND, state=DomainState.DOWN),
    # Run, suspend, resume
    Scenario("run starts the VM and waits for its agent", _A.RUN,
             "0 start",
             3, _O.DONE, state=DomainState.DOWN),
    Scenario("run counts a VM as up after a minute without its agent", _A.RUN,
             "0 start",
             60, _O.DONE, temper=Temper(boots=90), state=DomainState.DOWN),
    Scenario("run of a VM that somebody has started is a success", _A.RUN,
             "",
             0, _O.OTHER_HAND, rows=(18,)),
    Scenario("run restores saved memory", _A.RUN,
             "0 start",
             3, _O.DONE, state=DomainState.DOWN, managed_save=True),
    Scenario("run lets a paused VM run on", _A.RUN,
             "0 resume",
             0, _O.DONE, state=DomainState.PAUSED),
    Scenario("resume wakes a sleeping VM", _A.RESUME,
             "0 resume",
             0, _O.DONE, state=DomainState.SLEEPING),
    Scenario("suspend saves the memory", _A.SUSPEND,
             "0 save",
             4, _O.DONE),
    Scenario("suspend that the host refuses fails and leaves the VM up", _A.SUSPEND,
             "0 save failed",
             0, _O.FAILED, _F.SAVE_FAILED, faults={StepKind.SAVE: _NEVER}),
    Scenario("a run once that finds the VM started by another hand has failed", _A.RUN_ONCE,
             "0 start no effect",
             0, _O.FAILED, _F.STARTED_ELSEWHERE, state=DomainState.DOWN, meddling={StepKind.START: Hand.START},
             options=RunOptions(kernel="/vmlinuz"), rows=(18,)),
    Scenario("a run once of a VM that runs has failed", _A.RUN_ONCE,
             "",
             0, _O.FAILED, _F.STARTED_ELSEWHERE),
    # Calls that fail
    Scenario("a start that fails twice is tried again with growing gaps", _A.REBOOT,
             "0 prepare, 0 ask_agent, 1 start failed, 2 start failed, 4 start",
             7, _O.CLEAN_AGENT, faults={StepKind.START: 2}, rows=(15, 27)),
    Scenario("a start that always fails is given up after six attempts", _A.REBOOT,
             "0 prepare, 0 ask_agent, 1 start failed, 2 start failed, 4 start failed, "
             "8 start failed, 16 start failed, 32 start failed",
             32, _O.FAILED, _F.START_FAILED, faults={StepKind.START: _NEVER}, rows=(27,)),
    Scenario("a power-off that fails twice is tried again", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7.5 press_button, 15 destroy failed, 16 destroy failed, 18 destroy, 18 start",
             21, _O.FORCED, temper=_STUBBORN, force=True, faults={StepKind.DESTROY: 2}),
    Scenario("a power-off that always fails leaves the VM as it was", _A.SHUT_DOWN,
             "0 prepare, 0 destroy failed, 1 destroy failed, 3 destroy failed, 7 destroy failed, "
             "15 destroy failed, 31 destroy failed, 31 relent",
             31, _O.FAILED, _F.DESTROY_FAILED, temper=_DEAF, force=True, faults={StepKind.DESTROY: _NEVER}),
    Scenario("a VM that cannot be prepared is not asked", _A.REBOOT,
             "0 prepare failed, 1 prepare failed, 3 prepare failed, 7 prepare failed, "
             "15 prepare failed, 31 prepare failed",
             31, _O.FAILED, _F.PREPARE_FAILED, faults={StepKind.PREPARE: _NEVER}),
    Scenario("a host that is away for a while delays the reboot", _A.REBOOT,
             "0 prepare, 0 ask_agent, 13 start",
             16, _O.CLEAN_AGENT, away=(0.5, 11.5), rows=(29,)),
    Scenario("a host that stays away fails the operation at its deadline", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7.5 press_button",
             255, _O.FAILED, _F.HOST_UNREACHABLE, temper=_STUBBORN, away=(14, _NEVER), rows=(28, 29)),
    # Other hands
    Scenario("a VM killed by another hand is run again by the reboot", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7 start",
             10, _O.OTHER_HAND, temper=_STUBBORN, hands=((7, Hand.KILL),), rows=(18,)),
    Scenario("a VM started by another hand while we were about to is a success", _A.REBOOT,
             "0 prepare, 0 ask_agent, 1 start no effect",
             4, _O.CLEAN_AGENT, meddling={StepKind.START: Hand.START}, rows=(18,)),
    Scenario("a new run is not asked again", _A.REBOOT,
             "0 prepare, 0 ask_agent",
             7, _O.OTHER_HAND, temper=_STUBBORN, hands=((7, Hand.RESTART),), rows=(18,)),
    Scenario("a new run is not powered off", _A.SHUT_DOWN,
             "0 prepare, 0 ask_agent, 7.5 press_button, 15 destroy failed",
             15, _O.FAILED, _F.STARTED_ELSEWHERE, temper=_STUBBORN, force=True,
             meddling={StepKind.DESTROY: Hand.RESTART}, rows=(18,)),
    Scenario("a VM undefined by another hand fails the operation", _A.REBOOT,
             "0 prepare, 0 ask_agent",
             7, _O.FAILED, _F.GONE, temper=_STUBBORN, hands=((7, Hand.UNDEFINE),), rows=(19,)),
    Scenario("a VM saved by another hand is not run again with its old memory", _A.REBOOT,
             "0 prepare, 0 ask_agent",
             7, _O.FAILED, _F.SAVED_ELSEWHERE, temper=_STUBBORN, hands=((7, Hand.SAVE),)),
    Scenario("a VM that goes down while it comes up is not started a second time", _A.REBOOT,
             "0 prepare, 0 ask_agent, 1 start",
             12, _O.FAILED, _F.WENT_DOWN_AGAIN, temper=Temper(boots=20), hands=((12, Hand.KILL),)),
    Scenario("a VM suspended by another hand is suspended", _A.SUSPEND,
             "",
             0, _O.OTHER_HAND, state=DomainState.DOWN, managed_save=True),
    # Removal
    Scenario("remove undefines a VM and keeps its disks", _A.REMOVE,
             "0 undefine",
             0, _O.DONE, state=DomainState.DOWN),
    Scenario("the chosen disks go once the VM is undefined", _A.REMOVE,
             "0 undefine, 0 remove_disk, 0 remove_disk",
             0, _O.DONE, state=DomainState.DOWN, disks=("/a", "/b")),
    Scenario("a removal that fails twice is tried again", _A.REMOVE,
             "0 undefine failed, 1 undefine failed, 3 undefine, 3 remove_disk",
             3, _O.DONE, state=DomainState.DOWN, disks=("/a",), faults={StepKind.UNDEFINE: 2}),
    Scenario("a removal that always fails touches no disk", _A.REMOVE,
             "0 undefine failed, 1 undefine failed, 3 undefine failed, 7 undefine failed, "
             "15 undefine failed, 31 undefine failed",
             31, _O.FAILED, _F.UNDEFINE_FAILED, state=DomainState.DOWN, disks=("/a",),
             faults={StepKind.UNDEFINE: _NEVER}),
    Scenario("disks that cannot be removed are tried three times each and left", _A.REMOVE,
             "0 undefine, 0 remove_disk failed, 0 remove_disk failed, 1 remove_disk failed, 1 remove_disk failed, "
             "3 remove_disk failed, 3 remove_disk failed",
             3, _O.FAILED, _F.DISKS_LEFT, state=DomainState.DOWN, disks=("/a", "/b"),
             faults={StepKind.REMOVE_DISK: _NEVER}),
    Scenario("a VM that somebody starts meanwhile is not removed", _A.REMOVE,
             "0 undefine failed",
             0, _O.FAILED, _F.NOT_DOWN, state=DomainState.DOWN, disks=("/a",),
             meddling={StepKind.UNDEFINE: Hand.START}),
    Scenario("a VM that somebody suspended is not removed", _A.REMOVE,
             "",
             0, _O.FAILED, _F.SAVED_ELSEWHERE, state=DomainState.DOWN, managed_save=True, disks=("/a",)),
    Scenario("a VM that is defined again keeps the disks that are left", _A.REMOVE,
             "0 undefine, 0 remove_disk failed",
             0, _O.FAILED, _F.DEFINED_AGAIN, state=DomainState.DOWN, disks=("/a", "/b"),
             meddling={StepKind.REMOVE_DISK: Hand.DEFINE}),
    Scenario("a host that is away for a while delays the removal of disks", _A.REMOVE,
             "12 undefine, 12 remove_disk",
             12, _O.DONE, state=DomainState.DOWN, disks=("/a",), away=(0, 11), rows=(29,)),
    # People
    Scenario("a cancelled reboot relents and a guest that goes down later stays down", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7.5 press_button, 9 relent",
             9, _O.CANCELLED, temper=_SLOW, people=((9, _P.CANCEL),), rows=(9,)),
    Scenario("force now powers off at once", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7 destroy, 7 start",
             10, _O.FORCED, temper=_STUBBORN, people=((7, _P.FORCE_NOW),), rows=(8, 9)),
    Scenario("a guest that is to be forced before it was asked is not asked", _A.REBOOT,
             "0 prepare, 0 destroy, 0 start",
             3, _O.FORCED, temper=_STUBBORN, people=((0, _P.FORCE_NOW),), rows=(9,)),
    Scenario("who is given more time after all, before being asked, gets just that", _A.REBOOT,
             "0 prepare, 0 ask_agent, 15 press_button, 20 destroy, 20 start",
             23, _O.FORCED, temper=_STUBBORN, delay=30, people=((0, _P.FORCE_NOW), (0, _P.EXTEND)), rows=(9,)),
    Scenario("an extended delay is waited to its end", _A.REBOOT,
             "0 prepare, 0 ask_agent, 7.5 press_button, 17.5 press_button, 22 start",
             25, _O.CLEAN_ACPI, temper=Temper(takes=22), people=((7, _P.EXTEND),), rows=(9,)),
)
# fmt: on

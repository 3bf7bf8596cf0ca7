"""The authority on what each call of the port, and each other hand, does to a simulated machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from vms.domain.observation import DomainState, DownReason
from vms.domain.run_options import AS_STORED, RunOptions
from vms.hypervisor.base import AgentUnavailable, ConfigurationRejected, HypervisorError, RunChanged
from vms.hypervisor.fake.machine import DRIVER, GUEST, OTHER, Happening, Machine, Run
from vms.hypervisor.fake.temper import ANSWER_LIMIT, Agent, Reaction


@dataclass(frozen=True, slots=True)
class Result:
    """What a call came to.

    Attributes:
        effect: It made a difference.
        happened: What became of the machine by it.
        value: What the caller is answered.
        failure: What the caller is answered instead.
    """

    effect: bool
    happened: Iterable[Happening] = ()
    value: Any = None
    failure: HypervisorError | None = None


def _prepare(machine: Machine, now: float, token: str, end_on_reset: bool) -> Result:
    run = machine.run
    if run is None:
        raise RunChanged(f"{machine.name} is not running")
    before = (run.token, run.on_reboot)
    run.token = run.token or token
    if end_on_reset:
        run.on_reboot = "destroy"
    return Result((run.token, run.on_reboot) != before, value=run.token)


def _relent(machine: Machine, now: float) -> Result:
    run = machine.run
    if run is None or run.on_reboot == machine.on_reboot:
        return Result(effect=False)
    run.on_reboot = machine.on_reboot
    return Result(effect=True)


def _ask_agent(machine: Machine, now: float, reboot: bool) -> Result:
    run = machine.run
    if run is None or not run.agent_connected or run.state != DomainState.RUNNING:
        raise AgentUnavailable("Guest agent is not responding: QEMU guest agent is not connected")
    if machine.temper.agent is Agent.REFUSES:
        raise AgentUnavailable("internal error: unable to execute QEMU agent command 'guest-shutdown'")
    still_to_go = machine.temper.agent_answers - ANSWER_LIMIT
    effect = machine.ask_agent(now + max(0.0, still_to_go), Reaction.REBOOT if reboot else Reaction.HALT)
    failure = AgentUnavailable(f"the guest agent did not answer within {ANSWER_LIMIT:g} s") if still_to_go > 0 else None
    leaves = machine.temper.agent is Agent.DROPS
    return Result(effect, machine.set_agent(now, connected=False) if leaves else (), failure=failure)


def _press_button(machine: Machine, now: float) -> Result:
    _must_run(machine)
    if not machine.temper.acpi:
        raise HypervisorError("Requested operation is not valid: ACPI power button is not available")
    return Result(machine.press_button(now))


def _destroy(machine: Machine, now: float, run_token: str | None) -> Result:
    run = machine.run
    if run is not None and run_token is not None and run.token != run_token:
        raise RunChanged(f"{machine.name} runs, but not the run that was to be ended")
    return Result(run is not None, machine.end(now, DownReason.DESTROYED, DRIVER))


def _start(machine: Machine, now: float, options: dict[str, Any]) -> Result:
    wanted = RunOptions.of(options)
    if machine.run is None and wanted != AS_STORED and machine.managed_save:
        raise HypervisorError(f"{machine.name} has saved memory, which would later be restored over changed disks")
    if machine.run is None and wanted.cd_image and machine.cd_image is None:
        raise HypervisorError("the VM has no CD drive")
    return Result(machine.run is None, machine.power_on(now, DRIVER, wanted))


def _configure(machine: Machine, now: float, values: dict[str, Any], revert: list[str]) -> Result:
    before = machine.stored
    if values.get("cd_image") and machine.cd_image is None:
        raise ConfigurationRejected("the VM has no CD drive")
    run = machine.run
    reverted = {part: run.configuration[part] for part in revert if part in before} if run else {}
    for part, value in (values | reverted).items():
        setattr(machine, part, value)
    if run is not None and "description" in values:
        run.configuration["description"] = machine.description
    changed = machine.stored != before
    return Result(changed, [Happening("redefined", now, DRIVER, machine.runs)] if changed else [])


def _save(machine: Machine, now: float) -> Result:
    if machine.run is not None and not machine.persistent:
        raise HypervisorError("Requested operation is not valid: cannot do managed save for transient domain")
    if machine.run is not None and RunOptions.of(machine.run.options).stateless:
        raise HypervisorError("Requested operation is not valid: a domain with transient disks cannot be saved")
    return Result(_must_run(machine).saved_at is None, machine.begin_save(now, DRIVER))


def _resume(machine: Machine, now: float) -> Result:
    run = _must_run(machine)
    return Result(run.state != DomainState.RUNNING, machine.set_state(now, DomainState.RUNNING, DRIVER))


def _discard_memory(machine: Machine, now: float) -> Result:
    return Result(machine.discard_memory())


def _undefine_by_driver(machine: Machine, now: float) -> Result:
    if machine.run is not None:
        raise HypervisorError(f"{machine.name} is running, so it was not removed")
    machine.persistent = False
    machine.discard_memory()
    return Result(effect=True)


def _must_run(machine: Machine) -> Run:
    if machine.run is None:
        raise HypervisorError("Requested operation is not valid: domain is not running")
    return machine.run


#: Calls of the port that change a domain: called with the machine, the time and the call's own arguments.
CALLS: dict[str, Callable[..., Result]] = {
    "prepare": _prepare,
    "relent": _relent,
    "ask_agent": _ask_agent,
    "press_button": _press_button,
    "destroy": _destroy,
    "start": _start,
    "configure": _configure,
    "save": _save,
    "resume": _resume,
    "discard_memory": _discard_memory,
    "undefine": _undefine_by_driver,
}


def _shutdown(machine: Machine, now: float) -> Iterable[Happening]:
    machine.request(now, Reaction.HALT)
    return machine.advance(now)


def _undefine(machine: Machine, now: float) -> Iterable[Happening]:
    # One that runs is gone once it is down.
    machine.persistent = False
    return ()


#: What other hands do, as with `virsh`; what guests do by themselves; and accidents.
HANDS: dict[str, Callable[[Machine, float], Iterable[Happening]]] = {
    "start": lambda machine, now: machine.power_on(now, OTHER),
    "shutdown": _shutdown,
    "destroy": lambda machine, now: machine.end(now, DownReason.DESTROYED, OTHER),
    "undefine": _undefine,
    "suspend": lambda machine, now: machine.set_state(now, DomainState.PAUSED, OTHER),
    "resume": lambda machine, now: machine.set_state(now, DomainState.RUNNING, OTHER),
    "managedsave": lambda machine, now: machine.begin_save(now, OTHER),
    "guest_halt": lambda machine, now: machine.end(now, DownReason.GUEST, GUEST),
    "guest_reboot": lambda machine, now: machine.reset(now, GUEST),
    "guest_sleep": lambda machine, now: machine.set_state(now, DomainState.SLEEPING, GUEST),
    "agent_connect": lambda machine, now: machine.set_agent(now, connected=True),
    "agent_disconnect": lambda machine, now: machine.set_agent(now, connected=False),
    "panic": lambda machine, now: machine.panic(now),
    "crash": lambda machine, now: machine.end(now, DownReason.CRASHED, GUEST),
}

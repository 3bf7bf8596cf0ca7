"""oVirt's Python SDK, as its users write it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ovirtsdk4
from ovirtsdk4 import types

from tests.acceptance.instance import PASSWORD
from tests.support.waiting import wait_until

#: Seconds that no request needs.
_TIMEOUT = 30
#: What a job is until its outcome is known.
_UNDER_WAY = types.JobStatus.STARTED


@contextmanager
def connected(
    api: str, name: str | None = "admin@internal", password: str | None = PASSWORD, **options: Any
) -> Iterator[ovirtsdk4.Connection]:
    """Connect as somebody; closing ends the token."""
    connection = ovirtsdk4.Connection(url=api, username=name, password=password, timeout=_TIMEOUT, **options)
    try:
        yield connection
    finally:
        connection.close()


def vms(connection: ovirtsdk4.Connection) -> Any:
    """Return the service of all VMs."""
    return connection.system_service().vms_service()


def vm_service(connection: ovirtsdk4.Connection, name: str) -> Any:
    """Return the service of the one VM of this name, found as scripts find it."""
    (found,) = vms(connection).list(search=f"name={name}")
    return vms(connection).vm_service(found.id)


def wait_for(service: Any, status: types.VmStatus, timeout: float = 60) -> types.Vm:
    """Ask again and again, as scripts do, until a VM is in a status; return it."""
    return wait_until(
        lambda: next((vm for vm in [service.get()] if vm.status == status), None), f"it is {status}", timeout, 0.1
    )


def job_of(connection: ovirtsdk4.Connection, act: Callable[[], object]) -> Any:
    """Have something done, and return the service of the job that it began."""
    jobs = connection.system_service().jobs_service()
    before = {job.id for job in jobs.list()}
    act()
    (job,) = [job for job in jobs.list() if job.id not in before]
    return jobs.job_service(job.id)


def wait_ended(service: Any, timeout: float = 60) -> types.Job:
    """Wait until a job has ended, and return it."""
    return wait_until(
        lambda: next((job for job in [service.get()] if job.status != _UNDER_WAY), None), "the job ends", timeout, 0.1
    )


def wait_gone(service: Any, timeout: float = 60) -> None:
    """Ask again and again until an object is no longer there."""

    def gone() -> bool:
        try:
            service.get()
        except ovirtsdk4.NotFoundError:
            return True
        return False

    wait_until(gone, "it is gone", timeout, 0.1)

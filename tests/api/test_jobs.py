"""Jobs over the API: operations with their journals, and what other programs do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.api.asking import NOBODYS, asked, get, names, post, reference
from tests.api.conftest import as_person
from tests.support.scene import MakeOperation, MakeVm, the_role
from vms.domain.operation import Failure, Outcome, Stage, StepKind
from vms.domain.power import Action
from vms.engine import retention
from vms.models import Assignment, ExternalJob, ExternalStep, Operation, PortalDefaults, VirtualMachine

pytestmark = pytest.mark.django_db

PLAYBOOK = """<job><auto_cleared>true</auto_cleared><description>Nightly</description><external>true</external>
<status>started</status></job>"""


def test_an_action_leads_to_its_job(operator: User, vm: VirtualMachine) -> None:
    client = as_person(operator)
    action = post(client, f"/vms/{vm.pk}/reboot", "<action><force>true</force></action>", status=200)
    job = get(client, reference(action, "job"))
    assert (job.findtext("description"), job.findtext("status")) == (f"Reboot {vm.name}", "started")
    assert (job.findtext("external"), job.find("end_time")) == ("false", None)
    assert get(client, reference(job, "owner")).findtext("principal") == "oskar"
    assert job.findtext("operation/stage") == "accepted"
    assert job.findtext("operation/force") == "true"
    assert get(client, reference(job, "operation/vm")).findtext("name") == vm.name


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.CLEAN_AGENT, "finished"),
        (Outcome.FORCED, "finished"),
        (Outcome.OTHER_HAND, "finished"),
        (Outcome.GAVE_UP, "failed"),
        (Outcome.FAILED, "failed"),
        (Outcome.CANCELLED, "aborted"),
        (Outcome.SUPERSEDED, "aborted"),
    ],
)
def test_its_status_says_whether_what_was_asked_for_came_true(
    operator: User, vm: VirtualMachine, make_operation: MakeOperation, outcome: Outcome, status: str
) -> None:
    failure = Failure.START_FAILED if outcome is Outcome.FAILED else Failure.NONE
    operation = make_operation(vm, outcome=outcome, failure=failure)
    job = get(as_person(operator), f"/jobs/{operation.pk}")
    assert (job.findtext("status"), job.findtext("operation/outcome")) == (status, outcome)
    assert job.findtext("operation/failure") == (failure or None)
    assert job.findtext("end_time") == job.findtext("last_updated") is not None


def test_its_steps_are_its_journal(operator: User, vm: VirtualMachine, make_operation: MakeOperation) -> None:
    operation = make_operation(vm)
    now = timezone.now()
    journal = (
        (StepKind.PREPARE, now, True, "finished"),
        (StepKind.ASK_AGENT, now, False, "failed"),
        (StepKind.AGENT_LEFT, None, False, "finished"),
        (StepKind.DESTROY, None, False, "started"),
    )
    for number, (kind, answered, ok, _) in enumerate(journal, 1):
        operation.steps.create(number=number, kind=kind, at=now, answered_at=answered, ok=ok, detail=f"said {number}")
    client = as_person(operator)
    steps = get(client, f"/jobs/{operation.pk}/steps")
    assert names(steps, "status") == [status for *_, status in journal]
    assert names(steps, "description")[1] == "Asked the guest agent"
    assert names(steps, "detail") == ["said 1", "said 2", "said 3", "said 4"]
    one = get(client, f"/jobs/{operation.pk}/steps/{steps[1].get('id')}")
    assert (one.findtext("number"), reference(one, "job")) == ("2", f"/jobs/{operation.pk}")
    Operation.objects.update(stage=Stage.ENDED, outcome=Outcome.FAILED, ended_at=now)
    assert names(get(client, f"/jobs/{operation.pk}/steps"), "status")[3] == "unknown"


def test_those_on_vms_that_somebody_may_not_see_are_not_there(
    outsider: User, vm: VirtualMachine, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    mine = make_vm("mine")
    Assignment.objects.create(user=outsider, role=the_role("Viewer"), vm=mine)
    seen, hidden = make_operation(mine), make_operation(vm)
    client = as_person(outsider)
    assert [job.get("id") for job in get(client, "/jobs")] == [str(seen.pk)]
    for below in ("", "/steps"):
        get(client, f"/jobs/{seen.pk}{below}")
        get(client, f"/jobs/{hidden.pk}{below}", status=404)
    post(client, f"/jobs/{hidden.pk}/end", "<action/>", status=404)


def test_the_newest_comes_first_whoever_does_it(admin: User, vm: VirtualMachine, make_operation: MakeOperation) -> None:
    now, client = timezone.now(), as_person(admin)
    for age in (4, 2):
        make_operation(vm, outcome=Outcome.DONE, created_at=now - timedelta(minutes=age))
    for age in (3, 1):
        ExternalJob.objects.create(description=f"{age}", actor=admin, started_at=now - timedelta(minutes=age))
    jobs = get(client, "/jobs")
    assert names(jobs, "external") == ["true", "false", "true", "false"]
    assert names(jobs, "start_time") == sorted(map(str, names(jobs, "start_time")), reverse=True)
    assert [job.get("id") for job in get(client, "/jobs?max=3")] == [job.get("id") for job in jobs][:3]


def test_the_lists_ask_the_same_for_three_and_for_thirty(
    admin: User, vm: VirtualMachine, make_vm: MakeVm, make_operation: MakeOperation
) -> None:
    client = as_person(admin)
    first = make_operation(vm)
    mine = ExternalJob.objects.create(description="Nightly", actor=admin)
    addresses = ("/jobs", f"/jobs/{first.pk}/steps", f"/jobs/{mine.pk}/steps")

    def add(*numbers: int) -> None:
        for number in numbers:
            make_operation(make_vm(f"vm{number}"), actor=admin)
            ExternalJob.objects.create(description=f"{number}", actor=admin)
            first.steps.create(number=number, kind=StepKind.PREPARE, at=timezone.now())
            ExternalStep.objects.create(job=mine, description=f"{number}")

    add(1, 2)
    three = [asked(client, address) for address in addresses]
    add(*range(3, 30))
    assert [len(get(client, address)) for address in addresses] == [60, 29, 29]
    assert [asked(client, address) for address in addresses] == three


def test_another_program_tells_what_it_does(admin: User) -> None:
    client = as_person(admin)
    made = post(client, "/jobs", PLAYBOOK)
    path = f"/jobs/{made.get('id')}"
    assert (made.findtext("description"), made.findtext("status"), made.findtext("external")) == (
        "Nightly",
        "started",
        "true",
    )
    assert get(client, reference(made, "owner")).findtext("principal") == "ada"
    for name in ("one", "two"):
        step = post(client, f"{path}/steps", f"<step><description>{name}</description></step>")
    post(client, f"{path}/steps/{step.get('id')}/end", "<action><succeeded>false</succeeded></action>", status=200)
    assert names(get(client, f"{path}/steps"), "status") == ["started", "failed"]
    post(client, f"{path}/end", "<action><succeeded>true</succeeded></action>", status=200)
    ended = get(client, path)
    assert (ended.findtext("status"), ended.findtext("end_time") is not None) == ("finished", True)
    # What had not ended ends with it; what had stays as it was.
    assert names(get(client, f"{path}/steps"), "status") == ["finished", "failed"]
    post(client, f"{path}/end", "<action><succeeded>false</succeeded></action>", status=200)
    assert get(client, path).findtext("status") == "finished"
    post(client, f"{path}/steps", "<step><description>late</description></step>", status=409)
    post(client, f"{path}/clear", "<action/>", status=200)
    get(client, path, status=404)


def test_a_job_wants_a_description(admin: User) -> None:
    fault = post(as_person(admin), "/jobs", "<job><external>true</external></job>", status=400)
    assert fault.findtext("reason") == "Incomplete parameters"
    assert (
        post(as_person(admin), "/jobs", f"<job><description>{'x' * 1001}</description></job>", status=400) is not None
    )


def test_who_may_not_write_into_the_records_is_refused(operator: User, admin: User) -> None:
    job = ExternalJob.objects.create(description="Nightly", actor=admin)
    client = as_person(operator)
    post(client, "/jobs", PLAYBOOK, status=403)
    for verb in ("end", "clear"):
        fault = post(client, f"/jobs/{job.pk}/{verb}", "<action/>", status=403)
        assert (fault.tag, fault.findtext("status")) == ("action", "failed")
    job.refresh_from_db()
    assert (ExternalJob.objects.count(), job.state) == (1, "started")


def test_who_sees_some_vms_only_sees_their_own_jobs(outsider: User, admin: User, vm: VirtualMachine) -> None:
    Assignment.objects.create(user=outsider, role=the_role("Viewer"), vm=vm)
    ExternalJob.objects.create(description="theirs", actor=admin)
    ExternalJob.objects.create(description="mine", actor=outsider)
    assert names(get(as_person(outsider), "/jobs"), "description") == ["mine"]


@pytest.mark.parametrize("verb", ["end", "clear"])
def test_the_portals_own_are_not_ended_by_others(
    admin: User, vm: VirtualMachine, make_operation: MakeOperation, verb: str
) -> None:
    operation = make_operation(vm, Action.REBOOT)
    post(as_person(admin), f"/jobs/{operation.pk}/{verb}", "<action/>", status=409)
    operation.refresh_from_db()
    assert operation.active


def test_old_ones_of_other_programs_are_cleared_away(admin: User) -> None:
    now = timezone.now()
    PortalDefaults(id=1, keep_operations=10).save()
    for age in (11, 9):
        ExternalJob.objects.create(description=f"{age}", actor=admin, started_at=now - timedelta(days=age))
    assert retention.clean_up().jobs == 1
    assert names(get(as_person(admin), "/jobs"), "description") == ["9"]


@pytest.mark.parametrize("job_id", [NOBODYS, "7", "x"])
def test_what_is_no_job_is_not_found(operator: User, job_id: str) -> None:
    get(as_person(operator), f"/jobs/{job_id}", status=404)
    get(as_person(operator), f"/jobs/{job_id}/steps", status=404)

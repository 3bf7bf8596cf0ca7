"""What an action would do: the plan that the confirmation of the pages shows, and that is kept with the operation."""

from __future__ import annotations

from vms import labels
from vms.actions import Preview
from vms.api.declare import Group, Kind, Many, Scalar, Tree, reference

PLAN: Group[Preview] = Group(
    "plan",
    (
        Scalar("action", Kind.TEXT, lambda plan: plan.action),
        Group(
            "subject",
            (
                Scalar("name", Kind.TEXT, lambda subject: subject.name),
                Scalar("host", Kind.TEXT, lambda subject: subject.host),
                Scalar("status", Kind.TEXT, lambda subject: subject.status),
                Scalar("up_since", Kind.TEXT, lambda subject: subject.up_since),
            ),
            of=lambda plan: plan.subject,
            doc="The VM as it is now.",
        ),
        Group(
            "power_down_policy",
            (
                Scalar("force", Kind.FLAG, lambda policy: policy.force),
                Scalar("force_origin", Kind.TEXT, lambda policy: policy.force_origin),
                Scalar("graceful_delay", Kind.WHOLE, lambda policy: policy.delay),
                Scalar("graceful_delay_origin", Kind.TEXT, lambda policy: policy.delay_origin),
            ),
            of=lambda plan: plan.policy,
            doc="What would hold for this request, and where each part comes from. Only of what asks the guest.",
        ),
        Many(
            "steps",
            Group(
                "step",
                (
                    Scalar("kind", Kind.TEXT, lambda step: step.kind),
                    Scalar("after", Kind.WHOLE, lambda step: step.after, "Seconds; none where it has no fixed time."),
                    Scalar("description", Kind.TEXT, lambda step: str(labels.PLAN[step.kind])),
                ),
            ),
            lambda plan: plan.steps,
        ),
        Many(
            "consequences",
            Group(
                "consequence",
                (
                    Scalar("kind", Kind.TEXT, lambda consequence: consequence),
                    Scalar("description", Kind.TEXT, lambda consequence: str(labels.CONSEQUENCE[consequence])),
                ),
            ),
            lambda plan: plan.consequences,
        ),
        Many(
            "changes",
            Group(
                "change",
                (
                    Scalar("part", Kind.TEXT, lambda change: change.part),
                    Scalar("now", Kind.TEXT, lambda change: labels.part_value(change.part, change.now)),
                    Scalar("next", Kind.TEXT, lambda change: labels.part_value(change.part, change.next)),
                ),
            ),
            lambda plan: plan.changes,
            "Changes of the configuration that would be applied.",
        ),
    ),
    of=lambda preview: preview.plan,
)


def planned(preview: Preview) -> Tree:
    """Return the answer to an action that is only to be tried; the preview has a plan."""
    tree: Tree = {"dry_run": True, "plan": PLAN.value(preview)}
    if preview.in_the_way is not None:
        tree["supersedes"] = reference("jobs", preview.in_the_way.pk)
    return {**tree, "status": "complete"}

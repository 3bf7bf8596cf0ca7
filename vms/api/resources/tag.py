"""What a tag looks like. Source: REST contract, 4.4."""

from __future__ import annotations

from vms.api.declare import Kind, Resource, Scalar
from vms.api.ids import Row, id_of
from vms.models import Tag

TAG: Resource[Tag] = Resource(
    name="tag",
    plural="tags",
    path="tags",
    id_of=lambda tag: id_of(Row.TAG, tag.pk),
    members=(
        Scalar("name", Kind.TEXT, lambda tag: tag.name, written=True),
        Scalar(
            "reason_required",
            Kind.FLAG,
            lambda tag: tag.reason_required,
            "No power action on a VM that bears it without a reason.",
        ),
    ),
)

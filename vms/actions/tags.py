"""Putting tags on VMs."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from vms import permissions
from vms.actions.common import Actor
from vms.domain import tags
from vms.engine import changes, sync
from vms.engine.records import Code, record
from vms.models import Tag, VirtualMachine


def set_tags(actor: Actor, vm: VirtualMachine, names: Iterable[str]) -> None:
    """Have a VM bear these tags and no others. A tag that is known already keeps its spelling.

    Raises:
        PermissionDenied: The actor may not edit this VM.
        TagError: They cannot be tags, or not by this actor; see `check_tags`.
    """
    permissions.require(permissions.may_change(actor, vm))
    wanted = check_tags(actor, vm, names)
    with sync.locked(vm.pk) as locked:
        was = _in_words(locked)
        locked.tags.set([_known(name) for name in wanted])
        now = _in_words(locked)
        if was != now:
            record(Code.VM_UPDATED, f"Tags of {locked.name} changed from {was} to {now}.", vm=locked, actor=actor)
            # Who has a role on a tag sees other VMs now.
            changes.tell(locked.pk, topics=[changes.VM_LIST])


def check_tags(actor: Actor, vm: VirtualMachine, names: Iterable[str]) -> tuple[str, ...]:
    """Return the tags that a VM is to bear, cleaned.

    A tag that roles were given on opens the VM to people, so that putting it on and taking it off is giving and taking
    back roles: whoever may not do that could otherwise help themselves.

    Raises:
        TagError: As `vms.domain.tags.clean`, or `gives_roles`.
    """
    wanted = tags.clean(names)
    if not permissions.may_give_roles(actor):
        before = {name.casefold() for name in vm.tags.values_list("name", flat=True)}
        changed = before ^ {name.casefold() for name in wanted}
        with_roles = Tag.objects.filter(assignments__isnull=False).values_list("name", flat=True)
        if any(name.casefold() in changed for name in with_roles):
            raise tags.TagError("gives_roles")
    return wanted


def _known(name: str) -> Tag:
    return Tag.objects.filter(Q(name=name) | Q(name__iexact=name)).first() or Tag.objects.create(name=name)


def _in_words(vm: VirtualMachine) -> str:
    return "“" + ", ".join(vm.tags.values_list("name", flat=True)) + "”"

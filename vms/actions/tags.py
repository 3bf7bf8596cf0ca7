"""Tags: putting them on VMs, making and removing them."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from vms import permissions
from vms.actions.common import Actor, Refused
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


def put_tag(actor: Actor, vm: VirtualMachine, tag: Tag) -> None:
    """Have a VM bear one more tag.

    Raises:
        PermissionDenied: The actor may not edit this VM.
        TagError: It bears as many as it can, or not by this actor; see `check_tags`.
    """
    with sync.locked(vm.pk) as locked:
        set_tags(actor, locked, [*_names(locked), tag.name])


def take_tag(actor: Actor, vm: VirtualMachine, tag: Tag) -> None:
    """Have a VM bear a tag no longer.

    Raises:
        PermissionDenied: The actor may not edit this VM.
        TagError: Not by this actor; see `check_tags`.
    """
    with sync.locked(vm.pk) as locked:
        set_tags(actor, locked, [name for name in _names(locked) if name != tag.name])


def add_tag(actor: Actor, name: str) -> Tag:
    """Make a tag that no VM bears yet.

    Raises:
        PermissionDenied: The actor may make none.
        TagError: It cannot be one; see `vms.domain.tags.clean`.
        Refused: There is one of this name.
    """
    permissions.require(permissions.may_add_tag(actor))
    cleaned = tags.clean([name])
    if not cleaned:
        raise tags.TagError("empty")
    try:
        with transaction.atomic():
            tag = Tag.objects.create(name=cleaned[0])
            record(Code.TAG_ADDED, f"Tag {tag.name} was added by {actor.get_username()}.", actor=actor)
    except IntegrityError:
        raise Refused(_("There is a tag of this name already.")) from None
    return tag


def remove_tag(actor: Actor, tag: Tag) -> None:
    """Take a tag off all VMs that bear it, and out of the portal.

    Raises:
        PermissionDenied: The actor may not, or may not take back the roles that were given on it.
    """
    permissions.require(permissions.may_delete_tag(actor))
    permissions.require(permissions.may_take_roles(actor) or not tag.assignments.exists())
    with transaction.atomic():
        borne_by = list(tag.vms.values_list("pk", flat=True))
        tag.delete()
        message = f"Tag {tag.name} was removed by {actor.get_username()}, and from {len(borne_by)} virtual machines."
        record(Code.TAG_REMOVED, message, actor=actor)
        changes.tell(*borne_by, topics=[changes.VM_LIST])


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
    return "“" + ", ".join(_names(vm)) + "”"


def _names(vm: VirtualMachine) -> Iterable[str]:
    return vm.tags.values_list("name", flat=True)

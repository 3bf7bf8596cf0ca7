"""The roles that come with the portal, as its groups are; people may change them, and give them on some VMs only."""

from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

VIEWER = {
    "view_vm": "virtualmachine",
    "view_operation": "operation",
    "view_event": "event",
    "view_host": "host",
}
OPERATOR = VIEWER | dict.fromkeys(
    ("run_vm", "shut_down_vm", "power_off_vm", "reboot_vm", "power_cycle_vm", "suspend_vm", "console_vm"),
    "virtualmachine",
)
MANAGER = OPERATOR | dict.fromkeys(("change_vm", "remove_vm"), "virtualmachine")
ROLES = {
    "Viewer": ("Sees virtual machines, their operations and events.", VIEWER),
    "Operator": ("Also starts, stops and reboots them, with force where the policy allows it.", OPERATOR),
    "Manager": ("Also edits and removes them.", MANAGER),
}
ADMINISTER = {
    **{f"{verb}_role": ("role", f"Can {verb} role") for verb in ("view", "add", "change", "delete")},
    **{f"{verb}_assignment": ("assignment", f"Can {verb} role assignment") for verb in ("view", "add", "delete")},
}


def create(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make the roles, and let administrators give them; Django itself would make permissions after the last one."""
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")
    Role = apps.get_model("vms", "Role")

    def permission(codename: str, model: str, name: str) -> Any:
        content_type, _ = ContentType.objects.get_or_create(app_label="vms", model=model)
        found, _ = Permission.objects.get_or_create(
            codename=codename, content_type=content_type, defaults={"name": name}
        )
        return found

    # Named as the model names it; whoever comes first makes it.
    console = permission("console_vm", "virtualmachine", "Can use the console of virtual machines")
    for name, (description, verbs) in ROLES.items():
        role = Role.objects.create(name=name, description=description)
        role.verbs.set(
            [permission(codename, model, f"Can {codename.replace('_', ' ')}") for codename, model in verbs.items()]
        )
    groups = apps.get_model("auth", "Group").objects
    for group in groups.filter(name__in=("Operator", "Administrator")):
        group.permissions.add(console)
    for group in groups.filter(name="Administrator"):
        group.permissions.add(*(permission(codename, model, name) for codename, (model, name) in ADMINISTER.items()))


class Migration(migrations.Migration):
    dependencies = [("vms", "0011_roles")]

    operations = [migrations.RunPython(create, migrations.RunPython.noop)]

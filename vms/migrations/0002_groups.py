"""The three groups that come with the portal. People may change them; later migrations leave them alone."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

VIEWER = ("view_vm", "view_host", "view_operation", "view_event")
OPERATOR = (*VIEWER, "run_vm", "shut_down_vm", "power_off_vm", "reboot_vm", "power_cycle_vm", "suspend_vm")
ADMINISTRATOR = (
    *OPERATOR,
    "change_vm",
    "add_host",
    "change_host",
    "delete_host",
    "view_portaldefaults",
    "change_portaldefaults",
)
GROUPS = {"Viewer": VIEWER, "Operator": OPERATOR, "Administrator": ADMINISTRATOR}
MODEL_OF = {
    "view_host": "host",
    "add_host": "host",
    "change_host": "host",
    "delete_host": "host",
    "view_operation": "operation",
    "view_event": "event",
    "view_portaldefaults": "portaldefaults",
    "change_portaldefaults": "portaldefaults",
}


def create_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make the groups with their permissions, which Django itself would only make after the last migration."""
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    names = dict(apps.get_model("vms", "VirtualMachine")._meta.permissions)  # noqa: SLF001  (Django documents `_meta`)
    for group_name, codenames in GROUPS.items():
        group, created = Group.objects.get_or_create(name=group_name)
        if not created:
            continue
        for codename in codenames:
            content_type, _ = ContentType.objects.get_or_create(
                app_label="vms", model=MODEL_OF.get(codename, "virtualmachine")
            )
            permission, _ = Permission.objects.get_or_create(
                codename=codename,
                content_type=content_type,
                defaults={"name": names.get(codename, f"Can {codename.replace('_', ' ')}")},
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("vms", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(create_groups, migrations.RunPython.noop)]

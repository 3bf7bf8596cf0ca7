"""Administrators may remove VMs and look after tags, and see who is mailed about what."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

GROUP = "Administrator"
PERMISSIONS = {
    "remove_vm": ("virtualmachine", "Can remove virtual machines"),
    "view_tag": ("tag", "Can view tag"),
    "change_tag": ("tag", "Can change tag"),
    "delete_tag": ("tag", "Can delete tag"),
    "view_mail": ("mail", "Can view mail"),
    "view_subscription": ("subscription", "Can view mail subscription"),
}


def grant(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Give the permissions to the group, where it still is; Django itself would make them after the last migration."""
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")
    for group in apps.get_model("auth", "Group").objects.filter(name=GROUP):
        for codename, (model, name) in PERMISSIONS.items():
            content_type, _ = ContentType.objects.get_or_create(app_label="vms", model=model)
            permission, _ = Permission.objects.get_or_create(
                codename=codename, content_type=content_type, defaults={"name": name}
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("vms", "0009_removal")]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]

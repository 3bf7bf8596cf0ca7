"""Administrators may have programs write into the portal's records, and make tags before any VM bears them."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

GROUP = "Administrator"
PERMISSIONS = {
    "add_event": ("event", "Can add event"),
    "delete_event": ("event", "Can delete event"),
    "add_tag": ("tag", "Can add tag"),
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
    dependencies = [("vms", "0019_external_records")]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]

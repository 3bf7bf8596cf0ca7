"""Administrators have webhooks."""

from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

ADMINISTER = {
    **{f"{verb}_webhook": ("webhook", f"Can {verb} webhook") for verb in ("view", "add", "change", "delete")},
    "view_webhookdelivery": ("webhookdelivery", "Can view webhook delivery"),
}


def grant(apps: Apps, schema_editor: BaseDatabaseSchemaEditor | None) -> None:
    """Let administrators have webhooks; Django itself would make the permissions after the last migration."""
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")

    def permission(codename: str, model: str, name: str) -> Any:
        content_type, _ = ContentType.objects.get_or_create(app_label="vms", model=model)
        found, _ = Permission.objects.get_or_create(
            codename=codename, content_type=content_type, defaults={"name": name}
        )
        return found

    for group in apps.get_model("auth", "Group").objects.filter(name="Administrator"):
        group.permissions.add(*(permission(codename, model, name) for codename, (model, name) in ADMINISTER.items()))


class Migration(migrations.Migration):
    dependencies = [("vms", "0023_webhooks")]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]

"""VMs can be added: who may, and what is kept of one until its host has it. Administrators may."""

import django.db.models.deletion
import django.utils.timezone
from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def grant(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Let administrators add VMs; Django itself would make the permission after the last migration."""
    ContentType = apps.get_model("contenttypes", "ContentType")
    content_type, _ = ContentType.objects.get_or_create(app_label="vms", model="virtualmachine")
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        codename="add_vm", content_type=content_type, defaults={"name": "Can add virtual machines"}
    )
    for group in apps.get_model("auth", "Group").objects.filter(name="Administrator"):
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("vms", "0021_vm_for_api"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="virtualmachine",
            options={
                "default_permissions": (),
                "ordering": ["name", "id"],
                "permissions": [
                    ("view_vm", "Can see virtual machines"),
                    ("add_vm", "Can add virtual machines"),
                    ("change_vm", "Can edit virtual machines"),
                    ("run_vm", "Can run and resume virtual machines"),
                    ("shut_down_vm", "Can shut down virtual machines"),
                    ("power_off_vm", "Can power off virtual machines"),
                    ("reboot_vm", "Can reboot virtual machines"),
                    ("power_cycle_vm", "Can power cycle virtual machines"),
                    ("suspend_vm", "Can suspend virtual machines"),
                    ("remove_vm", "Can remove virtual machines"),
                    ("console_vm", "Can use the console of virtual machines"),
                ],
                "verbose_name": "virtual machine",
                "verbose_name_plural": "virtual machines",
            },
        ),
        migrations.AddField(
            model_name="virtualmachine",
            name="being_added",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.CreateModel(
            name="Addition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("configuration", models.JSONField(default=dict)),
                ("actor_name", models.CharField(max_length=150, verbose_name="asked by")),
                ("correlation_id", models.CharField(max_length=36, verbose_name="correlation id")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="asked for")),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "Waiting for the host"), ("added", "Added"), ("failed", "Failed")],
                        default="waiting",
                        max_length=8,
                        verbose_name="state",
                    ),
                ),
                ("called_at", models.DateTimeField(null=True)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("next_at", models.DateTimeField(default=django.utils.timezone.now, null=True)),
                ("error", models.TextField(blank=True, verbose_name="error")),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "actor",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "vm",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="addition",
                        to="vms.virtualmachine",
                    ),
                ),
            ],
            options={
                "default_permissions": ("view",),
                "verbose_name": "added virtual machine",
                "verbose_name_plural": "added virtual machines",
                "ordering": ["id"],
                "indexes": [
                    models.Index(condition=models.Q(("state", "waiting")), fields=["next_at"], name="addition_due")
                ],
            },
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]

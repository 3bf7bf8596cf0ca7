import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("vms", "0020_administrators_external"),
    ]

    operations = [
        migrations.AddField(
            model_name="virtualmachine",
            name="comment",
            field=models.TextField(
                blank=True, help_text="Kept by the portal; its host knows nothing of it.", verbose_name="comment"
            ),
        ),
        migrations.AddField(
            model_name="virtualmachine",
            name="first_seen_at",
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False),
        ),
        migrations.AddField(
            model_name="virtualmachine",
            name="delete_protected",
            field=models.BooleanField(
                default=False,
                help_text="The VM cannot be removed until this is taken off.",
                verbose_name="delete protection",
            ),
        ),
    ]

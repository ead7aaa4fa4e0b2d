"""Other rows, and what nobody needs any more."""

from django.db import migrations
from django.db.models.functions import Upper


def fill(apps, editor):
    apps.get_model("shop", "Order").objects.update(note=Upper("note"))


class Migration(migrations.Migration):
    dependencies = [("shop", "0004_concurrent")]
    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RemoveField("Order", "old"),
        migrations.RunSQL("ALTER TYPE mood ADD VALUE 'calm' AFTER 'sad'", migrations.RunSQL.noop),
        migrations.RunSQL(
            "CREATE VIEW numbers AS SELECT 1 AS number", "DROP VIEW numbers"
        ),
    ]

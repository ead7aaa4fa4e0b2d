"""Columns for a busy table, and a table beside it."""

import django.db.models.functions
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_known")]
    operations = [
        # Django adds a column with a default and then drops the default.
        migrations.AddField("Order", "priority", models.IntegerField(default=0)),
        migrations.AddField(
            "Order", "token", models.UUIDField(db_default=models.Func(function="gen_random_uuid"))
        ),
        migrations.AddField("Order", "made", models.DateTimeField(db_default=django.db.models.functions.Now())),
        migrations.CreateModel(
            "Tag",
            [
                ("id", models.AutoField(primary_key=True)),
                ("order", models.ForeignKey("shop.Order", models.CASCADE)),
                ("word", models.SlugField()),
            ],
            {"db_table": "tags"},
        ),
    ]

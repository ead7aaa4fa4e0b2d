"""The tables that were there before Django was."""

from django.db import migrations, models


class Migration(migrations.Migration):
    known = [
        migrations.CreateModel("Customer", [("id", models.IntegerField(primary_key=True))], {"db_table": "customers"}),
        migrations.CreateModel(
            "Order",
            [
                ("id", models.IntegerField(primary_key=True)),
                ("customer", models.IntegerField(null=True)),
                ("note", models.TextField(null=True)),
                ("old", models.TextField(null=True)),
            ],
            {"db_table": "orders"},
        ),
    ]
    operations = [migrations.SeparateDatabaseAndState(state_operations=known)]

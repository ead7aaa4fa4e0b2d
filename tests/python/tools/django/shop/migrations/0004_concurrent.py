"""Index work in Django's own online form, which is no transaction."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0003_constraints")]
    operations = [
        AddIndexConcurrently("Order", models.Index(fields=["customer", "priority"], name="orders_by_customer")),
        RemoveIndexConcurrently("Order", "orders_note"),
    ]

"""What the busy table shall keep to."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_columns")]
    operations = [
        # A null column that becomes required: an UPDATE, a SET CONSTRAINTS, then ALTER TABLE, in one Query.
        migrations.AlterField("Order", "customer", models.IntegerField(default=1)),
        migrations.AddIndex("Order", models.Index(fields=["note"], name="orders_note")),
        migrations.AlterField("Order", "note", models.CharField(max_length=40, unique=True, null=True)),
        migrations.AddConstraint(
            "Order", models.CheckConstraint(condition=models.Q(priority__gte=0), name="orders_priority")
        ),
        migrations.AddConstraint("Order", models.UniqueConstraint(fields=["token"], name="orders_token")),
        migrations.AddField(
            "Order", "buyer", models.ForeignKey("shop.Customer", models.CASCADE, null=True, related_name="bought")
        ),
    ]

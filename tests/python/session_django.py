"""Django: its own migrations applied, used and undone; prints what it sees, so that two ways can be compared."""

import sys
from urllib.parse import urlsplit

import django
from django.conf import settings

url = urlsplit(sys.argv[1])
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": url.hostname,
            "PORT": url.port,
            "USER": url.username,
            "NAME": url.path.lstrip("/"),
        }
    },
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import Group, User  # noqa: E402 (only after setup)
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, transaction  # noqa: E402

call_command("migrate", verbosity=1)
User.objects.bulk_create([User(username=f"user{n}") for n in range(200)])
group = Group.objects.create(name="readers")
group.user_set.add(*User.objects.filter(username__startswith="user1"))
print("readers", group.user_set.count())
try:
    with transaction.atomic():
        User.objects.create(username="user1")
except IntegrityError as trouble:
    print("twice", type(trouble.__cause__).__name__)
with transaction.atomic():
    locked = User.objects.select_for_update().order_by("id").first()
    locked.first_name = "Ada"
    locked.save()
print("iterated", sum(1 for _ in User.objects.iterator(chunk_size=20)), User.objects.get(username="user0").first_name)
with connection.cursor() as cursor:
    cursor.execute(
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1"
    )
    for row in cursor.fetchall():
        print("index", row)
call_command("migrate", "auth", "zero", verbosity=1)

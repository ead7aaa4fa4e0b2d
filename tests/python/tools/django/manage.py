"""An ordinary Django project in one file; where its database is comes from outside."""

import os
import sys
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import execute_from_command_line

at = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": at.hostname,
            "PORT": at.port,
            "USER": at.username,
            "NAME": at.path[1:],
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=["shop"],
    USE_TZ=True,
)
execute_from_command_line(sys.argv)

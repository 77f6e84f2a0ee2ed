"""One ASGI application on one port: agents' paths go to the gateway, people's to Django."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "warden.settings")

import django

django.setup(set_prefix=False)

from django.core.asgi import get_asgi_application  # noqa: E402 - after the settings

from warden.checks import refuse_to_start  # noqa: E402

refuse_to_start()
application = get_asgi_application()

"""The ASGI application; it also serves the admin site's style sheets, if no web server does (STATIC_ROOT)."""

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "guestbook.settings")
application = ASGIStaticFilesHandler(get_asgi_application())

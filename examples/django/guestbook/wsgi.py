"""The WSGI application; it also serves the admin site's style sheets, if no web server does (STATIC_ROOT)."""

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "guestbook.settings")
application = StaticFilesHandler(get_wsgi_application())

"""The admin site for the entries."""

from django.contrib import admin

from guestbook.models import Entry

admin.site.register(Entry, list_display=["text", "written"])

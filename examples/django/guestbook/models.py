"""The database tables."""

from django.db import models


class Entry(models.Model):
    """One entry of a visitor."""

    text = models.CharField(max_length=200)
    written = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "entries"

    def __str__(self):
        return self.text

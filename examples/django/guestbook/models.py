"""What is kept."""

from django.db import models


class Entry(models.Model):
    """What a visitor wrote."""

    text = models.CharField(max_length=200)
    written = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "entries"

    def __str__(self):
        return self.text

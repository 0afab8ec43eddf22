"""The only page: all entries, a form for a new one, and the number of visits of this browser."""

from django.forms import modelform_factory
from django.shortcuts import redirect, render

from guestbook.models import Entry

EntryForm = modelform_factory(Entry, fields=["text"])


def book(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("book")
    context = {"form": form, "entries": Entry.objects.all(), "visits": request.session["visits"]}
    return render(request, "guestbook/book.html", context)

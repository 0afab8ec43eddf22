"""Visits the guestbook of examples/django at a URL, as a guest and as the administrator."""

import re
import sys

import requests

BASE = sys.argv[1].rstrip("/")


class Visitor(requests.Session):
    """A user with a browser: it keeps cookies, and sends forms with their token."""

    def page(self, path, status=200):
        response = self.get(BASE + path, timeout=60)
        assert response.status_code == status, (path, response.status_code, response.text)
        return response

    def submit(self, path, status=200, **fields):
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page(path).text).group(1)
        data = dict(fields, csrfmiddlewaretoken=token)
        response = self.post(BASE + path, data=data, headers={"Referer": BASE + path}, timeout=60)
        assert response.status_code == status, (path, response.status_code, response.text)
        return response


guest = Visitor()
assert "Nobody was here yet." in guest.page("/").text
assert "<p>Visit 2.</p>" in guest.page("/").text, "the session was lost"
book = guest.submit("/", text="Zoë <b> & ünïcode 🦀")
assert [step.status_code for step in book.history] == [302]
assert "<li>Zoë &lt;b&gt; &amp; ünïcode 🦀</li>" in book.text, book.text
assert "<p>Visit 5.</p>" in book.text, book.text

# A POST without the form's token changes nothing.
refused = requests.post(BASE + "/", data={"text": "forged"}, timeout=60)
assert refused.status_code == 403, refused.status_code
assert "forged" not in guest.page("/").text

admin = Visitor()
assert admin.page("/admin/").url == BASE + "/admin/login/?next=/admin/"
wrong = admin.submit("/admin/login/?next=/admin/", username="admin", password="wrong")
assert "Please enter the correct username and password" in wrong.text
site = admin.submit("/admin/login/?next=/admin/", username="admin", password="a long secret")
assert site.url == BASE + "/admin/" and "Site administration" in site.text, site.url
assert "sessionid" in admin.cookies and "csrftoken" in admin.cookies, admin.cookies
assert "ünïcode 🦀" in admin.page("/admin/guestbook/entry/").text

added = admin.submit("/admin/guestbook/entry/add/", text="from the administrator")
assert "was added successfully" in added.text
entry = re.search(r"/admin/guestbook/entry/(\d+)/change/", added.text).group(1)
changed = admin.submit(f"/admin/guestbook/entry/{entry}/change/", text="changed")
assert "was changed successfully" in changed.text
deleted = admin.submit(f"/admin/guestbook/entry/{entry}/delete/", post="yes")
assert "was deleted successfully" in deleted.text

# Static files: complete ones and unchanged ones (304).
style = admin.page("/static/admin/css/base.css")
assert style.headers["Content-Type"].startswith("text/css") and len(style.content) > 10_000
unchanged = {"If-Modified-Since": style.headers["Last-Modified"]}
assert admin.get(BASE + "/static/admin/css/base.css", headers=unchanged, timeout=60).status_code == 304

token = admin.cookies["csrftoken"]
out = admin.post(BASE + "/admin/logout/", data={"csrfmiddlewaretoken": token}, headers={"Referer": BASE}, timeout=60)
assert "Logged out" in out.text, out.text
assert admin.page("/admin/").url == BASE + "/admin/login/?next=/admin/"
guest.page("/not-there", status=404)
print("the guestbook works")

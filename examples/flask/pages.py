"""A Flask application with a page, a form, an upload and a page that shows the CGI variables."""

from flask import Flask, jsonify, redirect, render_template_string, request, url_for

application = Flask(__name__)

PAGE = """<!doctype html>
<title>Notes</title>
<h1>Notes</h1>
<form method="post"><input name="note" autofocus> <button>Add</button></form>
<p>You wrote: {{ note }}</p>
"""


@application.get("/")
def index():
    return render_template_string(PAGE, note=request.cookies.get("note", "nothing yet"))


@application.post("/")
def add():
    answer = redirect(url_for("index"), 303)
    answer.set_cookie("note", request.form["note"], httponly=True, samesite="Lax")
    return answer


@application.get("/hello/<name>")
def hello(name):
    return f"Hello, {name}!\n", {"Content-Type": "text/plain; charset=utf-8"}


@application.post("/upload")
def upload():
    """Returns the length and the checksum of the uploaded data."""
    data = request.get_data()
    return jsonify(length=len(data), sum=sum(data) % 65536)


@application.route("/environ", methods=["GET", "POST"])
def environ():
    """Returns the CGI variables of this request."""
    return jsonify({name: value for name, value in request.environ.items() if isinstance(value, str)})


@application.get("/stream")
def stream():
    """Sends lines one by one, as they are made."""
    return application.response_class((f"line {number}\n" for number in range(5)), mimetype="text/plain")

"""A page of an ordinary Flask application: a template with a list, and a session in a signed cookie."""

import flask
import jinja2

TEMPLATES = {
    "base.html": """\
<!doctype html>
<html lang="en">
<head><title>{% block title %}{% endblock %}</title></head>
<body>{% block body %}{% endblock %}</body>
</html>
""",
    "orders.html": """\
{% extends "base.html" %}
{% block title %}Orders of {{ user }}{% endblock %}
{% block body %}
<h1>Orders of {{ user }}</h1>
<p>You have been here {{ visits }} times.</p>
<table>
{% for order in orders %}
<tr class="{{ loop.cycle('odd', 'even') }}"><td>{{ order.number }}</td><td>{{ order.title }}</td>
<td>{{ "%.2f"|format(order.price) }}</td><td><a href="{{ url_for('orders', page=order.number) }}">open</a></td></tr>
{% endfor %}
</table>
{% endblock %}
""",
}
ORDERS = [{"number": number, "title": f"<Order> number {number}", "price": number * 1.25} for number in range(20)]

application = flask.Flask(__name__)
application.jinja_loader = jinja2.DictLoader(TEMPLATES)
application.secret_key = "of the benchmark"


@application.route("/")
def orders():
    flask.session["visits"] = min(flask.session.get("visits", 0) + 1, 1000)
    return flask.render_template("orders.html", user="Ada", visits=flask.session["visits"], orders=ORDERS)

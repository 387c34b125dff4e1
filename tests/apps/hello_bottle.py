"""Bottle's hello world, and a form."""

from bottle import Bottle, request

app = application = Bottle()


@app.route("/")
def hello():
    return "hello from Bottle"


@app.post("/form")
def form():
    return {"name": request.forms.name, "remote": request.remote_addr}

"""Flask's hello world, and a form."""

from flask import Flask, request

app = application = Flask(__name__)


@app.route("/")
def hello():
    return "hello from Flask"


@app.route("/form", methods=["POST"])
def form():
    return {"name": request.form["name"], "remote": request.remote_addr}


@app.route("/boom")
def boom():
    raise ValueError("a secret detail")

"""Falcon's hello world, and a form."""

import falcon


class Hello:
    def on_get(self, req, resp):
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "hello from Falcon"


class Form:
    def on_post(self, req, resp):
        form = req.get_media()
        resp.media = {"name": form["name"], "remote": req.remote_addr}


app = application = falcon.App()
app.add_route("/", Hello())
app.add_route("/form", Form())

"""Requests that another server answers: the front's side of the uwsgi protocol and of HTTP, and tunnels behind a 101.

For whoever wants a request answered elsewhere (the front of `--http-to`, the actions `uwsgi:` and `http:` of internal routing):

    from geuwsgi.server.gateway.backend import parse_backend
    from geuwsgi.server.gateway.exchange import forward
    from geuwsgi.server.gateway.pool import Pool
    from geuwsgi.server.gateway.settings import GatewaySettings

    pool = Pool([parse_backend("127.0.0.1:3031", modifier1=7), parse_backend("http://127.0.0.1:8080")], GatewaySettings())
    result = forward(request, pool)      # in the request's own greenlet; return `result` as an application would

`forward` sends the head and streams the body, reads the response and gives it to `request.connection.response`, as an application does
with `start_response`; after a 101 it carries bytes both ways until both sides have ended. What goes wrong on the backend's side is an
`HTTPError` with status 502, 503 or 504, which the connection answers and logs like any other; a client that leaves is a `ClientError`.
"""

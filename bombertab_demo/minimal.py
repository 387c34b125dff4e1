"""The smallest multiplayer thing there is: a square for each tab, moved with the mouse or a finger, seen by all.

geuwsgi --http :8080 --gevent 100 --module bombertab_demo.minimal
"""

import uwsgi

PAGE = b"""<!doctype html><meta charset="utf-8"><title>Squares</title>
<style>body { margin: 0; touch-action: none; height: 100vh }
       i { position: fixed; width: 40px; height: 40px; margin: -20px; border-radius: 8px; transition: .1s linear }</style>
<script>
  const socket = new WebSocket(location.href.replace("http", "ws")), squares = {};
  onpointermove = (event) => socket.readyState === 1 && socket.send(`${event.clientX} ${event.clientY}`);
  socket.onmessage = ({ data }) => {
    const [who, x, y] = data.split(" ");
    const square = squares[who] ??= document.body.appendChild(document.createElement("i"));
    if (!x) return square.remove(), delete squares[who];
    square.style = `background: hsl(${who * 67} 80% 55%); left: ${x}px; top: ${y}px`;
  };
</script>
"""


def application(environ, start_response):
    if "HTTP_SEC_WEBSOCKET_KEY" not in environ:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [PAGE]

    uwsgi.websocket_handshake()
    uwsgi.websocket_channel_join("squares")  # from now on this tab hears what is sent there, on every worker
    me = uwsgi.worker_id() * 1000 + environ["uwsgi.core"]
    try:
        while True:
            x, y = map(int, uwsgi.websocket_recv().split())
            uwsgi.channel_send("squares", f"{me} {x} {y}")
    except (OSError, ValueError):  # the tab was closed, or sent something else
        uwsgi.channel_send("squares", str(me))
    return []

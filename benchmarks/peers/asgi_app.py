"""Echo, room (sending to each in turn) and hello through ASGI."""

BODY = b"hello, world\n"
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", str(len(BODY)).encode())],
}
members = {}


async def serve_websocket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    room = scope["path"] == "/room"
    if room:
        members[id(scope)] = send
    try:
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            message = {"type": "websocket.send", "text": event["text"]}
            if not room:
                await send(message)
                continue
            for key, member in list(members.items()):
                try:
                    await member(message)
                except Exception:  # that member has left
                    members.pop(key, None)
    finally:
        members.pop(id(scope), None)


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await serve_websocket(scope, receive, send)
    elif scope["type"] == "http":
        await send(START)
        await send({"type": "http.response.body", "body": BODY})
    else:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

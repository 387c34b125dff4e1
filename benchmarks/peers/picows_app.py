"""Echo and room with picows on uvloop: `python FILE PORT [BACKLOG]`."""

import sys

import uvloop
from picows import WSCloseCode, WSListener, WSMsgType, ws_create_server

members = set()


class Echo(WSListener):
    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())


class Room(WSListener):
    def on_ws_connected(self, transport):
        members.add(transport)

    def on_ws_disconnected(self, transport):
        members.discard(transport)

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            payload = frame.get_payload_as_bytes()
            for member in members:
                member.send(WSMsgType.TEXT, payload)


async def main():
    def listener(request):
        return Room() if request.path == b"/room" else Echo()

    backlog = {"backlog": int(sys.argv[2])} if len(sys.argv) > 2 else {}
    server = await ws_create_server(listener, "127.0.0.1", int(sys.argv[1]), **backlog)
    await server.serve_forever()


uvloop.run(main())

"""Pattern 2: a game in which every player waits for the browser and for Redis at once (as Bombertab does it).

The path is the name of the arena. One subscription per player, `gevent.select` over both descriptors with a time-out of 4 seconds, and one
`websocket_recv_nb()` for each event. The time-out exists so that uWSGI gets a chance to send its pings.

A player says "name:x" and everybody hears "x joined"; every other text is heard by everybody as "x: text".
"""

import os

import gevent.select
import redis
import uwsgi


class Player:
    def __init__(self, arena, number):
        self.arena = arena
        self.number = number  # uwsgi.core: small, unique among those who play
        self.name = "player"
        self.redis = redis.Redis.from_url(os.environ["REDIS_URL"])
        self.channel = self.redis.pubsub(ignore_subscribe_messages=True)
        self.channel.subscribe(arena)

    def fileno(self):
        return self.channel.connection._sock.fileno()

    def from_browser(self, message):
        text = message.decode()
        if text.startswith("name:"):
            self.name = text[5:]
            self.redis.publish(self.arena, self.name + " joined")
        elif text == "number":
            uwsgi.websocket_send("number:%d" % self.number)
        else:
            self.redis.publish(self.arena, self.name + ": " + text)

    def from_redis(self):
        while self.channel.connection.can_read(timeout=0):
            item = self.channel.get_message()
            if item is not None:
                uwsgi.websocket_send(item["data"])

    def leave(self):
        self.channel.close()
        self.redis.publish(self.arena, self.name + " left")
        self.redis.close()


def application(env, start_response):
    uwsgi.websocket_handshake(env["HTTP_SEC_WEBSOCKET_KEY"], env.get("HTTP_ORIGIN", ""))
    player = Player(env["PATH_INFO"], env["uwsgi.core"])
    browser = uwsgi.connection_fd()
    arena = player.fileno()
    uwsgi.websocket_send("welcome")
    try:
        while True:
            ready = gevent.select.select([browser, arena], [], [], 4.0)[0]
            if not ready:
                uwsgi.websocket_recv_nb()  # the time-out: let the server ping
            for fd in ready:
                if fd == browser:
                    message = uwsgi.websocket_recv_nb()
                    if message:
                        player.from_browser(message)
                else:
                    player.from_redis()
    except OSError:
        return ""
    finally:
        player.leave()

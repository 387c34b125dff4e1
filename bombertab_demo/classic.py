"""The same game the way one wrote it for uWSGI in 2013. It runs unchanged under uWSGI and under geuwsgi.

    geuwsgi bombertab_demo/classic.ini
    uwsgi bombertab_demo/classic.ini         (with gevent and redis installed)

The pattern: one JSON object per message with a command letter in "c"; each connection subscribes to its arena's Redis channel and
waits with `gevent.select` for the browser and for Redis at once; each bomb is a greenlet that sleeps and explodes. Players
walk from tile to tile. The arenas are in the memory of one process.

From the page:  n (name, hue: come in)  m (d: step)  b (bomb)  t (text)  p (n: ping)
To the page:    w (welcome: everything)  n (somebody came)  m (moved)  b (bomb)  x (explosion)  d (died)  l (left)
                v (victory)  r (new round)  t (text)  p (pong)
"""

import json
import os
import random
import time

import gevent
import gevent.select
import redis
import uwsgi

WIDTH, HEIGHT = 17, 13
SPAWNS = [(1, 1), (15, 11), (15, 1), (1, 11), (8, 1), (8, 11), (1, 6), (15, 6)]
STEPS = {1: (0, -1), 2: (1, 0), 3: (0, 1), 4: (-1, 0)}
FLOOR, WALL, CRATE = "012"
STEP = 0.14  # seconds from tile to tile
FUSE, FIRE, PAUSE = 2.5, 0.5, 3.0  # seconds
REACH = 2


def configured(name, default):
    value = uwsgi.opt.get(name, default)
    return value.decode() if isinstance(value, bytes) else value


database = redis.Redis.from_url(os.environ.get("REDIS_URL") or configured("classic-redis", "redis://127.0.0.1:6379/0"))


class Player:
    def __init__(self, arena, number, name, hue):
        self.arena = arena
        self.number = number
        self.name = name
        self.hue = hue
        self.score = 0
        self.moved = 0.0
        self.bomb = None
        self.spawn()

    def spawn(self):
        self.x, self.y = SPAWNS[self.number]
        self.alive = True

    def about(self):
        return [self.number, self.name, self.hue, self.x, self.y, self.alive, self.score]

    def step(self, direction):
        now = time.time()
        if direction not in STEPS or not self.alive or now - self.moved < STEP * 0.9:
            return
        dx, dy = STEPS[direction]
        x, y = self.x + dx, self.y + dy
        if self.arena.grid[y][x] != FLOOR or (x, y) in self.arena.bombs:
            return
        self.moved, self.x, self.y = now, x, y
        self.arena.tell(c="m", p=self.number, x=x, y=y, d=direction)
        if (x, y) in self.arena.fire:
            self.die(self.arena.fire[x, y])

    def drop(self):
        if self.alive and self.bomb is None and (self.x, self.y) not in self.arena.bombs:
            self.bomb = Bomb(self)

    def die(self, killer):
        self.alive = False
        self.arena.tell(c="d", p=self.number, by=killer)
        self.arena.check()


class Bomb:
    def __init__(self, owner):
        self.owner = owner
        self.arena = owner.arena
        self.x, self.y = owner.x, owner.y
        self.arena.bombs[self.x, self.y] = self
        self.arena.tell(c="b", p=owner.number, x=self.x, y=self.y, r=REACH)
        self.round = self.arena.round
        gevent.spawn(self.burn)

    def burn(self):
        gevent.sleep(FUSE)
        if self.round == self.arena.round and self.arena.bombs.get((self.x, self.y)) is self:
            self.explode()

    def explode(self):
        """Burn what is in reach, other bombs too, and go out after a while."""
        arena = self.arena
        bombs, cells, crates = [self], {}, []
        del arena.bombs[self.x, self.y]
        for bomb in bombs:
            bomb.owner.bomb = None
            for cell in bomb.reached():
                cells.setdefault(cell, bomb.owner.number)
                if cell in arena.bombs:
                    bombs.append(arena.bombs.pop(cell))
        for x, y in cells:
            if arena.grid[y][x] == CRATE:
                arena.grid[y][x] = FLOOR
                crates.append([x, y])
        arena.fire.update(cells)
        arena.tell(c="x", bombs=[[bomb.x, bomb.y] for bomb in bombs], cells=[list(cell) for cell in cells], crates=crates)
        for player in list(arena.players.values()):
            if player.alive and (player.x, player.y) in cells:
                player.die(cells[player.x, player.y])
        gevent.spawn_later(FIRE, self.put_out, cells)

    def put_out(self, cells):
        if self.round == self.arena.round:
            for cell in cells:
                self.arena.fire.pop(cell, None)

    def reached(self):
        cells = [(self.x, self.y)]
        for dx, dy in STEPS.values():
            for far in range(1, REACH + 1):
                x, y = self.x + dx * far, self.y + dy * far
                if self.arena.grid[y][x] == WALL:
                    break
                cells.append((x, y))
                if self.arena.grid[y][x] == CRATE:
                    break
        return cells


class Arena:
    arenas = {}

    def __init__(self, name):
        self.name = name
        self.channel = "classic:" + name
        self.players = {}
        self.round = 0
        self.over = False
        self.build()

    @classmethod
    def named(cls, name):
        if name not in cls.arenas:
            cls.arenas[name] = Arena(name)
        return cls.arenas[name]

    def build(self):
        """A new round: the same arena for the same name and number, everybody back in place."""
        self.round += 1
        self.over = False
        self.bombs, self.fire = {}, {}
        rng = random.Random(f"{self.name} {self.round}")
        self.grid = []
        for y in range(HEIGHT):
            self.grid.append([])
            for x in range(WIDTH):
                wall = x in (0, WIDTH - 1) or y in (0, HEIGHT - 1) or (x % 2 == 0 and y % 2 == 0)
                near = min(abs(x - sx) + abs(y - sy) for sx, sy in SPAWNS) <= 2
                self.grid[y].append(WALL if wall else CRATE if rng.random() < 0.7 and not near else FLOOR)
        for player in self.players.values():
            player.bomb = None
            player.spawn()

    def tell(self, **message):
        database.publish(self.channel, json.dumps(message))

    def everything(self, letter, **more):
        return dict(
            more,
            c=letter,
            round=self.round,
            grid=["".join(row) for row in self.grid],
            players=[player.about() for player in self.players.values()],
            bombs=[[bomb.x, bomb.y, bomb.owner.number, REACH] for bomb in self.bombs.values()],
        )

    def enter(self, name, hue):
        number = next((number for number in range(len(SPAWNS)) if number not in self.players), None)
        if number is None:
            return None
        player = self.players[number] = Player(self, number, name, hue)
        self.tell(c="n", p=player.about())
        return player

    def leave(self, player):
        del self.players[player.number]
        self.tell(c="l", p=player.number)
        self.check()
        if not self.players:
            self.arenas.pop(self.name, None)

    def check(self):
        """Is the round over?"""
        living = [player for player in self.players.values() if player.alive]
        alone = len(self.players) == 1
        if self.over or not self.players or len(living) > 1 or (alone and living):
            return
        self.over = True
        if living:
            living[0].score += 1
        self.tell(c="v", p=living[0].number if living else None)
        gevent.spawn_later(PAUSE, self.again)

    def again(self):
        self.build()
        self.tell(**self.everything("r"))


class Connection:
    def __init__(self, arena):
        self.arena = arena
        self.player = None
        self.subscription = database.pubsub(ignore_subscribe_messages=True)
        self.subscription.subscribe(arena.channel)

    def run(self):
        browser = uwsgi.connection_fd()
        channel = self.subscription.connection._sock.fileno()
        while True:
            # The time-out lets uWSGI send its pings, which it does inside websocket_recv_nb().
            ready = gevent.select.select([browser, channel], [], [], 4.0)[0]
            if not ready or browser in ready:
                message = uwsgi.websocket_recv_nb()
                if message and not self.obey(message):
                    return
            if channel in ready:
                self.forward()

    def forward(self):
        while self.subscription.connection.can_read(timeout=0):
            item = self.subscription.get_message()
            if item is not None and self.player is not None:
                uwsgi.websocket_send(item["data"])

    def obey(self, data):
        """Do what the browser asks for; False when that is nonsense."""
        try:
            message = json.loads(data)
            letter = message["c"]
            if letter == "n" and self.player is None:
                self.player = self.arena.enter(str(message["name"])[:16], int(message["hue"]) % 360)
                if self.player is None:
                    return False
                self.send(self.arena.everything("w", you=self.player.number))
            elif letter == "p":
                self.send({"c": "p", "n": message["n"]})
            elif self.player is None:
                return False
            elif letter == "m":
                self.player.step(message["d"])
            elif letter == "b":
                self.player.drop()
            elif letter == "t":
                self.arena.tell(c="t", p=self.player.number, text=str(message["text"])[:200])
        except (ValueError, TypeError, KeyError, RecursionError):
            return False
        return True

    def send(self, message):
        uwsgi.websocket_send(json.dumps(message))

    def close(self):
        if self.player is not None:
            self.arena.leave(self.player)
        self.subscription.close()


def application(env, start_response):
    path = env["PATH_INFO"]
    if not path.startswith("/classic/") or "HTTP_SEC_WEBSOCKET_KEY" not in env:
        start_response("302 Found", [("Location", "/index.html?classic")])
        return [b""]
    uwsgi.websocket_handshake(env["HTTP_SEC_WEBSOCKET_KEY"], env.get("HTTP_ORIGIN", ""))
    connection = Connection(Arena.named(path[len("/classic/") :]))
    try:
        connection.run()
    except OSError:
        pass  # the browser is gone
    finally:
        connection.close()
    return []

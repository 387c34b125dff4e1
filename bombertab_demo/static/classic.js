// The page speaks the protocol of classic.py: commands by letter, steps from tile to tile. The rest of the page does not notice.

import { centre, tile, VECTORS } from "./rules.js";
import { Net } from "./net.js";

const STEP = 140;  // ms from tile to tile, see classic.py

export class Classic extends Net {
  constructor(handlers, world) {
    super(handlers, `classic/${location.hash.slice(1) || "classic"}`);
    this.world = world;
    this.next = 0;
    world.shown = (player) => this.shown(player);
    world.step = (held, bomb) => this.step(held, bomb);
    addEventListener("hashchange", () => location.reload());
  }

  get clock() { return (performance.now() * 30) / 1000; }

  // -- from the page

  send(message) {
    if (message.t === "hello") super.send({ c: "n", name: message.name, hue: message.hue });
    else if (message.t === "ping") super.send({ c: "p", n: message.n });
    else if (message.t === "chat") super.send({ c: "t", text: message.text });
  }

  step(held, bomb) {
    const { world } = this, me = world.me, now = performance.now();
    if (bomb) super.send({ c: "b" });
    if (now < this.next) return null;
    for (const direction of held) {
      const [dx, dy] = VECTORS[direction], column = tile(me.x) + dx, row = tile(me.y) + dy;
      if (!world.free(column, row)) continue;
      this.next = now + STEP;
      this.walk(me, column, row, direction);
      super.send({ c: "m", d: direction });
      break;
    }
    return null;
  }

  walk(player, column, row, direction) {
    const from = this.shown(player);
    player.tween = { x: from.x, y: from.y, at: performance.now() };
    player.x = centre(column); player.y = centre(row);
    player.facing = direction;
  }

  shown(player) {
    const tween = player.tween, part = tween ? Math.min(1, (performance.now() - tween.at) / STEP) : 1;
    return tween ? { x: tween.x + (player.x - tween.x) * part, y: tween.y + (player.y - tween.y) * part } : { x: player.x, y: player.y };
  }

  // -- from the server, in the words of game.js

  receive(data) {
    const message = JSON.parse(data), { world, handlers } = this;
    if (message.c === "p") { super.receive(JSON.stringify({ t: "pong", n: message.n })); return; }
    this.heard = performance.now();
    this.in.messages++;
    this.in.bytes += data.length;
    handlers.message({ t: "classic" });  // a sign of life
    const cell = ([x, y]) => world.cell(x, y), player = world.players.get(message.p);
    if (message.c === "w") handlers.message({ t: "welcome", room: "classic", slot: message.you, token: "", chat: [] });
    if (message.c === "w" || message.c === "r") this.everything(message);
    else if (message.c === "n") {
      const [number, name, hue, x, y, alive, score] = message.p;
      world.players.set(number, this.player(number, x, y, alive));
      this.seats([...this.others(number), [number, name, hue, 0, score, 0]]);
    } else if (message.c === "l") {
      world.players.delete(message.p);
      this.seats(this.others(message.p));
    } else if (message.c === "m" && player) {
      if (player.slot !== world.slot || player.x !== centre(message.x) || player.y !== centre(message.y)) this.walk(player, message.x, message.y, message.d);
    } else if (message.c === "b") world.event("bomb", [cell([message.x, message.y]), message.p, 75, message.r], this.clock);
    else if (message.c === "x") world.event("boom", [message.bombs.map(cell), message.cells.map(cell), message.crates.map(cell)], this.clock);
    else if (message.c === "d") world.event("die", [message.p, message.by], this.clock);
    else if (message.c === "v") {
      world.event("won", [message.p ?? -1, false], this.clock);
      this.seats(this.others(-1).map((seat) => (seat[0] === message.p ? seat.with(4, seat[4] + 1) : seat)));
      world.event("phase", ["over", 90], this.clock);
    } else if (message.c === "t") handlers.message({ t: "said", slot: message.p, name: world.seats.get(message.p)?.name ?? "", text: message.text });
  }

  everything(message) {
    const { world } = this, now = this.clock;
    world.snapshot({
      n: 0, clock: now, rate: 30, width: message.grid[0].length, height: message.grid.length, grid: message.grid.join(""),
      players: message.players.map(([number, , , x, y, alive]) => [number, centre(x), centre(y), 3, alive, 1, 2, 0, 0, 0]),
      bombs: message.bombs.map(([x, y, owner, reach]) => [world.cell(x, y), owner, 75, reach]), flames: [], items: [],
      seats: message.players.map(([number, name, hue, , , , score]) => [number, name, hue, 0, score, 0]),
      fill: 0, phase: "playing", left: 0, hurry: 1e9, round: message.round, winner: -1, champion: false,
    });
  }

  player(slot, x, y, alive) {
    const place = { x: centre(x), y: centre(y) };
    return { slot, ...place, facing: 3, alive, bombs: 1, blast: 2, speed: 0, placed: 0, acknowledged: 0, track: [[0, place.x, place.y]], moved: 0, diedAt: 0, seen: place, step: 0 };
  }

  others(but) { return [...this.world.seats.values()].filter(({ slot }) => slot !== but).map((s) => [s.slot, s.name, s.hue, 0, s.score, 0]); }

  seats(list) { this.world.setSeats(list, 0); }
}

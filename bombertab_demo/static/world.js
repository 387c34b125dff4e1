// What the page knows of its room: the server's word, its own steps ahead of it, and the others a moment behind it.

import { BOMB, FLAME, FLOOR, WALL, stride, tile, walk } from "./rules.js";

const BEHIND = 2.6;  // ticks: the others are shown as they were, so that there is always a next place to move them to
const SMOOTH = 90;  // ms in which a correction of the own place fades
const GHOST = 1200;  // ms after which a bomb that the server does not confirm is none

export class World {
  constructor() {
    this.listeners = [];
    this.clear();
  }

  clear() {
    this.ready = false;
    this.width = 17; this.height = 13;
    this.grid = new Uint8Array(17 * 13);
    this.players = new Map();
    this.bombs = new Map();
    this.flames = new Map();
    this.items = new Map();
    this.seats = new Map();
    this.phase = "waiting"; this.phaseEnds = 0; this.hurryAt = Infinity; this.hurrying = false;
    this.round = 0; this.fill = 0; this.winner = -1; this.champion = false;
    this.rate = 30;
    this.slot = null;
    this.number = 0;  // of the last event message
    this.order = 0;  // of the last own command
    this.pending = [];
    this.offset = null;
    this.error = { x: 0, y: 0, at: 0 };
  }

  on(listener) { this.listeners.push(listener); }
  tell(name, ...values) { for (const listener of this.listeners) listener(name, ...values); }

  cell(column, row) { return row * this.width + column; }
  place(cell) { return [cell % this.width, Math.floor(cell / this.width)]; }
  get me() { return this.players.get(this.slot); }
  get playing() { return this.ready && this.phase === "playing" && Boolean(this.me?.alive); }

  // The server's clock, late by the quickest way that a message has taken lately. In ticks, with fractions.
  now(at = performance.now()) { return this.offset === null ? 0 : (at * this.rate) / 1000 + this.offset; }

  keepTime(clock) {
    const offset = clock - (performance.now() * this.rate) / 1000;
    if (this.offset === null || Math.abs(offset - this.offset) > this.rate) this.offset = offset;
    else this.offset = Math.max(offset, this.offset - 0.02);  // slower ones teach little: the clocks drift apart by less
  }

  free(column, row) {
    const cell = this.cell(column, row);
    return this.grid[cell] === FLOOR && !this.bombs.has(cell);
  }

  // -- what the server says

  snapshot(s) {
    this.ready = true;
    this.rate = s.rate;
    this.keepTime(s.clock);
    const fresh = s.phase !== this.phase || s.round !== this.round;
    this.width = s.width; this.height = s.height;
    this.grid = Uint8Array.from(s.grid, Number);
    const before = this.players;
    this.players = new Map();
    for (const [slot, x, y, facing, alive, bombs, blast, speed, placed, acknowledged] of s.players) {
      const player = { slot, x, y, facing, alive: Boolean(alive), bombs, blast, speed, placed, acknowledged, track: [[s.clock, x, y]], moved: 0, diedAt: 0 };
      player.seen = { x, y };
      player.step = before.get(slot)?.step ?? 0;
      this.players.set(slot, player);
    }
    this.bombs = new Map(s.bombs.map(([cell, owner, left, reach]) => [cell, { cell, owner, reach, explodes: s.clock + left, born: -1e9 }]));
    this.flames = new Map(s.flames.map(([cell, left]) => [cell, { until: s.clock + left, since: s.clock + left - FLAME, links: 15 }]));
    this.items = new Map(s.items.map(([cell, kind]) => [cell, { kind, since: -1e9 }]));
    this.number = s.n;
    this.phase = s.phase; this.phaseEnds = s.clock + s.left;
    this.hurryAt = s.clock + s.hurry + (s.phase === "starting" ? s.left : 0);
    this.hurrying = s.hurry === 0;
    this.round = s.round; this.winner = s.winner; this.champion = s.champion;
    this.setSeats(s.seats, s.fill);
    this.sit();
    this.tell("arena", fresh);
    if (fresh) this.tell("phase", this.phase);
  }

  // The own commands are counted from where the server stands.
  sit(slot = this.slot) {
    this.slot = slot;
    this.pending = [];
    this.order = this.me?.acknowledged ?? 0;
    this.error.x = this.error.y = 0;
    if (this.me) this.previous = { x: this.me.x, y: this.me.y };
  }

  setSeats(seats, fill) {
    this.seats = new Map(seats.map(([slot, name, hue, bot, score, away]) => [slot, { slot, name, hue, bot: Boolean(bot), score, away: Boolean(away) }]));
    this.fill = fill;
    this.tell("seats");
  }

  // One numbered message; false when one before it is missing.
  events(message) {
    if (message.n <= this.number) return true;
    if (message.n !== this.number + 1) return false;
    this.number = message.n;
    this.keepTime(message.clock);
    for (const [name, ...values] of message.e) this.event(name, values, message.clock);
    return true;
  }

  event(name, values, clock) {
    if (name === "bomb") {
      const [cell, slot, ticks, reach] = values, ghost = this.bombs.get(cell);
      const owner = this.players.get(slot);
      if (owner && !ghost?.ghost) owner.placed++;
      this.bombs.set(cell, { cell, owner: slot, reach, explodes: clock + ticks, born: ghost?.born ?? performance.now() });
      if (ghost?.ghost) return;  // it has been heard and seen already
    } else if (name === "boom") this.boom(values, clock);
    else if (name === "item") this.items.set(values[0], { kind: values[1], since: performance.now() });
    else if (name === "burnt") this.items.delete(values[0]);
    else if (name === "take") {
      const [cell, slot, kind] = values, player = this.players.get(slot);
      this.items.delete(cell);
      if (player) {
        if (kind === 0) player.bombs++; else if (kind === 1) player.blast++; else player.speed++;
      }
    } else if (name === "die") {
      const player = this.players.get(values[0]);
      if (player) Object.assign(player, { alive: false, diedAt: performance.now() });
    } else if (name === "wall") {
      this.grid[values[0]] = WALL;
      this.flames.delete(values[0]); this.items.delete(values[0]);
      const bomb = this.bombs.get(values[0]);
      if (bomb && this.bombs.delete(values[0])) this.release(bomb);
    } else if (name === "hurry") { this.hurrying = true; this.hurryAt = clock; }
    else if (name === "seats") { this.setSeats(values[0], values[1]); return; }
    else if (name === "phase") {
      this.phase = values[0];
      this.phaseEnds = clock + values[1];
      if (this.phase === "playing") this.sit();
    } else if (name === "won") { this.winner = values[0]; this.champion = values[1]; }
    this.tell(name, ...values);
  }

  boom([bombs, cells, crates], clock) {
    for (const cell of bombs) {
      const bomb = this.bombs.get(cell);
      if (bomb && this.bombs.delete(cell)) this.release(bomb);
    }
    const burning = new Set(cells);
    for (const cell of cells) {
      // To which sides the fire goes on, as bits for up, right, down, left.
      let links = 0;
      [cell - this.width, cell + 1, cell + this.width, cell - 1].forEach((beside, side) => { if (burning.has(beside)) links |= 1 << side; });
      this.flames.set(cell, { until: clock + FLAME, since: clock, links, heart: bombs.includes(cell) });
    }
    for (const cell of crates) this.grid[cell] = FLOOR;
  }

  release(bomb) {
    const owner = this.players.get(bomb.owner);
    if (owner && owner.placed > 0) owner.placed--;
  }

  moves(clock, records) {
    this.keepTime(clock);
    for (const record of records) {
      const player = this.players.get(record.slot);
      if (!player) continue;
      const last = player.track[player.track.length - 1];
      if (record.x !== last[1] || record.y !== last[2] || clock - last[0] > this.rate) {
        // Who stood still until now did not begin to move when it was last heard of.
        if (clock - last[0] > 1) player.track.push([clock - 1, last[1], last[2]]);
        player.track.push([clock, record.x, record.y]);
        if (player.track.length > 24) player.track.splice(0, 12);
      }
      player.speed = record.speed;
      if (record.slot === this.slot) this.reconcile(player, record);
      else {
        if (record.facing !== player.facing) player.facing = record.facing;
        player.x = record.x; player.y = record.y;
      }
      player.acknowledged = record.acknowledged;
    }
  }

  // The server has done the commands up to one; what it has not done yet is done again from where it says that we are.
  reconcile(player, record) {
    this.pending = this.pending.filter(({ order }) => ((order - record.acknowledged) & 0xffff) < 0x8000 && order !== record.acknowledged);
    if (!this.pending.length && ((record.acknowledged - this.order) & 0xffff) < 0x8000) this.order = record.acknowledged;
    for (const [cell, bomb] of this.bombs)
      if (bomb.ghost && ((record.acknowledged - bomb.order) & 0xffff) < 0x8000) { this.bombs.delete(cell); this.release(bomb); }
    const { x, y } = player;
    player.x = record.x; player.y = record.y;
    if (!this.pending.length) player.facing = record.facing || player.facing;
    for (const { command } of this.pending) this.advance(player, command);
    const dx = x - player.x, dy = y - player.y;
    if (dx || dy) {
      const far = Math.abs(dx) + Math.abs(dy) > 700;
      const kept = this.errorNow();
      this.error = { x: far ? 0 : kept.x + dx, y: far ? 0 : kept.y + dy, at: performance.now() };
      this.previous = { x: this.previous.x - dx, y: this.previous.y - dy };
    }
  }

  errorNow() {
    const left = Math.max(0, 1 - (performance.now() - this.error.at) / SMOOTH);
    return { x: this.error.x * left, y: this.error.y * left };
  }

  // -- what we do ourselves

  advance(player, command) {
    const direction = command & 7;
    if (!direction) return;
    player.facing = direction;
    [player.x, player.y] = walk(player.x, player.y, direction, stride(player.speed), (column, row) => this.free(column, row));
  }

  // Of the directions held, the newest first, one that leads somewhere.
  choose(held) {
    const me = this.me;
    for (const direction of held) {
      const [x, y] = walk(me.x, me.y, direction, stride(me.speed), (column, row) => this.free(column, row));
      if (x !== me.x || y !== me.y) return direction;
    }
    return held[0] ?? 0;
  }

  // One tick of the own player. Returns [number, command] to be sent, or null.
  step(held, bomb) {
    const me = this.me;
    this.previous = { x: me.x, y: me.y };
    let command = this.choose(held);
    if (bomb) command |= BOMB;
    if (!command || this.pending.length > 60) return null;
    this.order = (this.order + 1) & 0xffff;
    if (bomb) {
      const cell = this.cell(tile(me.x), tile(me.y));
      if (me.placed < me.bombs && !this.bombs.has(cell) && !this.flames.has(cell)) {
        me.placed++;
        this.bombs.set(cell, { cell, owner: this.slot, reach: me.blast, explodes: this.now() + 75, born: performance.now(), ghost: true, order: this.order });
        this.tell("bomb", cell, this.slot);
      }
    }
    this.advance(me, command);
    this.pending.push({ order: this.order, command });
    return [this.order, command];
  }

  // What is over is forgotten.
  tidy() {
    const now = this.now(), at = performance.now();
    for (const [cell, flame] of this.flames) if (flame.until <= now) this.flames.delete(cell);
    for (const [cell, bomb] of this.bombs)
      if (bomb.ghost && at - bomb.born > GHOST) { this.bombs.delete(cell); this.release(bomb); }
  }

  // Where to show a player; `part` of the own tick has passed.
  shown(player, part) {
    if (player.slot === this.slot && this.playing) {
      const error = this.errorNow();
      const from = this.previous ?? player;
      return { x: from.x + (player.x - from.x) * part + error.x, y: from.y + (player.y - from.y) * part + error.y };
    }
    const at = this.now() - BEHIND, track = player.track;
    let index = track.length - 1;
    while (index > 0 && track[index][0] > at) index--;
    const [clock, x, y] = track[index], next = track[index + 1];
    if (!next || at <= clock) return { x, y };
    const share = Math.min(1, (at - clock) / (next[0] - clock));
    return { x: x + (next[1] - x) * share, y: y + (next[2] - y) * share };
  }
}

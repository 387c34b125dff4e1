// The canvas: fits the arena into the room that there is, in whole device pixels, and draws a frame.

import { LIFT, Sprites, bomb, colour, fire, glow, hero, palette } from "./art.js";
import { FLOOR, FUSE, UNIT, WALL } from "./rules.js";

const CLOSING = 8;  // ticks between two walls that close in, see game/world.py
const DYING = 750;  // ms

// What has just happened may lie after the time of the frame, which is that of its beginning.
const within = (value, low, high) => Math.min(high, Math.max(low, value));

export class Stage {
  constructor(canvas, world, effects) {
    this.canvas = canvas;
    this.world = world;
    this.effects = effects;
    this.c = canvas.getContext("2d", { alpha: true });
    this.sprites = null;
    this.stale = true;
    this.spiral = null;
    this.lastAt = 0;
    new ResizeObserver(() => this.fit()).observe(canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.restyle());
    world.on((name, ...values) => this.hear(name, values));
  }

  restyle() { this.sprites = null; this.fit(); }

  fit() {
    const box = this.canvas.parentElement.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    const { width, height } = this.world;
    const t = Math.max(8, Math.floor(Math.min((box.width * ratio) / width, (box.height * ratio) / (height + LIFT))));
    if (this.sprites && this.t === t && this.w === width && this.h === height) return;
    this.t = t; this.w = width; this.h = height;
    this.canvas.width = t * width; this.canvas.height = Math.round(t * (height + LIFT));
    this.canvas.style.width = `${this.canvas.width / ratio}px`;
    this.canvas.style.height = `${this.canvas.height / ratio}px`;
    this.sprites = new Sprites(t);
    this.stale = true;
  }

  hear(name, values) {
    const { world, effects } = this, place = (cell) => world.place(cell);
    if (name === "arena" || name === "wall") this.stale = true;
    if (name === "arena") { this.fit(); this.spiral = null; }
    if (name === "boom") effects.boom(values[1], values[0], values[2], place);
    else if (name === "take") {
      const [x, y] = place(values[0]);
      effects.taken(x + 0.5, y + 0.5, values[2], world.seats.get(values[1])?.hue ?? 0);
    } else if (name === "die") {
      const player = world.players.get(values[0]);
      if (player) effects.death(player.seen.x / UNIT, player.seen.y / UNIT, world.seats.get(values[0])?.hue ?? 0);
    } else if (name === "wall") {
      const [x, y] = place(values[0]);
      for (let i = 0; i < 3; i++) effects.dust(x + Math.random(), y + 0.9);
    } else if (name === "won" && values[1]) effects.confetti(world.width);
  }

  frame(at, part) {
    const { c, world, effects } = this;
    if (!this.sprites) this.fit();
    const t = this.t, sprites = this.sprites, seconds = Math.min(0.1, (at - this.lastAt) / 1000), now = world.now(at);
    this.lastAt = at;
    effects.step(seconds);
    if (this.stale) { this.ground = sprites.ground(world); this.stale = false; }
    const [shakeX, shakeY] = effects.shake();
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(0, 0, this.canvas.width, this.canvas.height);
    c.translate(Math.round(shakeX * t), Math.round((LIFT + shakeY) * t));
    c.drawImage(this.ground, 0, 0);
    for (let cell = 0; cell < world.grid.length - world.width; cell++)
      if (world.grid[cell] !== FLOOR && world.grid[cell + world.width] === FLOOR) {
        const [column, row] = world.place(cell);
        sprites.shade(c, column * t, row * t);
      }
    this.warn(now, at);
    fire(c, world.flames, world, t, now, at);
    const players = this.place(part, at, seconds);
    for (let row = 0; row < world.height; row++) {
      for (let column = 0; column < world.width; column++) {
        const cell = world.cell(column, row);
        if (world.grid[cell] !== FLOOR) c.drawImage(sprites.blockOf(world, cell), column * t, row * t - sprites.lift);
        const item = world.items.get(cell);
        if (item) this.item(item, column, row, at);
        const lies = world.bombs.get(cell);
        if (lies) {
          const grown = within(0.5 + (at - lies.born) / 160, 0.5, 1);
          bomb(c, (column + 0.5) * t, (row + 0.46) * t, t * grown, world.seats.get(lies.owner)?.hue ?? 0, (lies.explodes - now) / FUSE, at);
        }
      }
      for (const one of players) if (one.row === row) hero(c, one.x, one.y, t, one);
    }
    effects.draw(c, t, sprites.puff);
    glow(c, world.flames, world, t, now, palette().glow);
    this.names(players, at);
  }

  // Where each player is in this frame, the farthest first.
  place(part, at, seconds) {
    const { world } = this, t = this.t, shown = [];
    for (const player of world.players.values()) {
      const seat = world.seats.get(player.slot);
      const dead = player.alive ? 0 : player.diedAt ? Math.max(0.001, (at - player.diedAt) / DYING) : 1;
      if (dead >= 1) continue;
      const { x, y } = dead ? player.seen : world.shown(player, part);
      const dx = x - player.seen.x, dy = y - player.seen.y, way = Math.abs(dx) + Math.abs(dy);
      if (way > 2) player.moved = at;
      if (way < UNIT) player.step = (player.step + way / UNIT * 0.9) % 1;
      if (way > 1 && way < UNIT && player.slot !== world.slot) player.look = Math.abs(dx) > Math.abs(dy) ? (dx > 0 ? 2 : 4) : dy > 0 ? 3 : 1;
      else if (player.slot === world.slot || !player.look) player.look = player.facing || 3;
      player.seen = { x, y };
      const walking = at - player.moved < 110;
      if (walking && !dead && Math.random() < seconds * 5) this.effects.dust(x / UNIT, y / UNIT + 0.32);
      shown.push({
        slot: player.slot, x: (x / UNIT) * t, y: (y / UNIT) * t, row: Math.floor(y / UNIT), hue: seat?.hue ?? 0, name: seat?.name ?? "", look: player.look,
        step: player.step, walking, at, dead, away: seat?.away, me: player.slot === world.slot, bot: seat?.bot,
      });
    }
    return shown.sort((a, b) => a.y - b.y);
  }

  item(item, column, row, at) {
    const { c, t, sprites } = this, fresh = within((at - item.since) / 220, 0, 1), size = t * (0.3 + 0.7 * fresh);
    const bob = Math.sin(at / 300 + column) * t * 0.03;
    c.drawImage(sprites.items[item.kind], (column + 0.5) * t - size / 2, (row + 0.43) * t - size / 2 + bob, size, size);
  }

  // The tiles that become walls next.
  warn(now, at) {
    const { c, world, t } = this;
    if (world.phase !== "playing") return;
    const since = now - world.hurryAt;
    if (since < -90) return;
    this.spiral ??= spiral(world.width, world.height);
    const first = Math.max(0, Math.floor(since / CLOSING) + 1);
    c.fillStyle = palette().warn;
    for (let index = first; index < Math.min(first + 8, this.spiral.length); index++) {
      const [column, row] = this.spiral[index];
      if (world.grid[world.cell(column, row)] === WALL) continue;
      c.globalAlpha = (0.55 - 0.05 * (index - first)) * (0.6 + 0.4 * Math.sin(at / 70 - index));
      c.fillRect(column * t, row * t, t, t);
    }
    c.globalAlpha = 1;
  }

  names(players, at) {
    const { c, t, world } = this, size = Math.max(t * 0.27, 10 * (devicePixelRatio || 1)), colours = palette();
    c.font = `700 ${size}px system-ui, sans-serif`;
    c.textAlign = "center"; c.textBaseline = "bottom"; c.lineJoin = "round";
    // Whole, and none on another: the own one stands where it belongs, others make room.
    const placed = [];
    for (const one of [...players].sort((a, b) => b.me - a.me || a.slot - b.slot)) {
      if (one.dead) continue;
      const half = c.measureText(one.name).width / 2 + size * 0.15, x = Math.min(this.canvas.width - half, Math.max(half, one.x));
      let y = one.y - t * 0.66;
      for (const other of placed)
        if (Math.abs(other.x - x) < other.half + half && Math.abs(other.y - y) < size) y = other.y - size * 1.05;
      placed.push({ x, y, half });
      placed.sort((a, b) => b.y - a.y);
      c.globalAlpha = one.bot ? 0.7 : 1;
      c.lineWidth = size * 0.3; c.strokeStyle = colours.nameEdge; c.strokeText(one.name, x, y);
      c.fillStyle = one.me ? colour(one.hue, colours.glow === 1 ? 78 : 34, 90) : colours.name; c.fillText(one.name, x, y);
    }
    c.globalAlpha = 1;
    const mine = world.phase === "starting" && players.find((one) => one.me);
    if (mine) {  // this one is you
      const y = mine.y - t * (1.15 + 0.12 * Math.sin(at / 130));
      c.fillStyle = colour(mine.hue, 62, 90); c.strokeStyle = colours.nameEdge; c.lineWidth = t * 0.08;
      c.beginPath(); c.moveTo(mine.x - t * 0.22, y - t * 0.3); c.lineTo(mine.x + t * 0.22, y - t * 0.3); c.lineTo(mine.x, y); c.closePath(); c.stroke(); c.fill();
    }
  }
}

// The cells inside the border from outside inwards, see game/arena.py.
export function spiral(width, height) {
  const order = [];
  let left = 1, top = 1, right = width - 2, bottom = height - 2;
  while (left <= right && top <= bottom) {
    for (let x = left; x <= right; x++) order.push([x, top]);
    for (let y = top + 1; y <= bottom; y++) order.push([right, y]);
    if (bottom > top) for (let x = right - 1; x >= left; x--) order.push([x, bottom]);
    if (right > left) for (let y = bottom - 1; y > top; y--) order.push([left, y]);
    left++; top++; right--; bottom--;
  }
  return order;
}

// Everything that is drawn, drawn in code. `t` is the side of a tile in canvas pixels, `at` a time in ms.

import { CRATE } from "./rules.js";

export const LIFT = 0.24;  // how high blocks stand, in tiles

const DARK = {
  floor: ["#262b45", "#2a304c"], speck: "rgba(255,255,255,.035)", shade: "rgba(5,6,18,.34)", edge: "#1b1f33",
  wall: ["#8294d6", "#6a7cc0", "#44528c", "#2f3a66"], border: ["#56639c", "#465287", "#303a63", "#232b4b"],
  crate: ["#eab272", "#d9974f", "#a96a33", "#7f4c23"], name: "#fff", nameEdge: "rgba(10,12,28,.85)", warn: "#ff4d5e", glow: 1, smoke: "170,176,200",
};
const LIGHT = {
  floor: ["#d3e6bd", "#cadfb2"], speck: "rgba(60,90,40,.10)", shade: "rgba(40,60,40,.22)", edge: "#9fb48c",
  wall: ["#b9c2dc", "#a0abcb", "#77829f", "#5f6984"], border: ["#94a07f", "#839070", "#646f55", "#525c45"],
  crate: ["#f3c588", "#e3a860", "#b97a3e", "#90592a"], name: "#1d2433", nameEdge: "rgba(255,255,255,.9)", warn: "#e0203a", glow: 0.55, smoke: "110,106,100",
};

const dark = matchMedia("(prefers-color-scheme: dark)");
export const palette = () => ((document.documentElement.dataset.theme || (dark.matches ? "dark" : "light")) === "dark" ? DARK : LIGHT);
export const colour = (hue, light = 58, strength = 78, alpha = 1) => `hsl(${hue} ${strength}% ${light}% / ${alpha})`;

const noise = (n) => { const x = Math.sin(n * 127.1 + 311.7) * 43758.5453; return x - Math.floor(x); };

function round(c, x, y, w, h, r) {
  c.beginPath();
  c.roundRect(x, y, w, h, r);
}

function canvas(width, height, draw) {
  const made = document.createElement("canvas");
  made.width = Math.ceil(width); made.height = Math.ceil(height);
  draw(made.getContext("2d"));
  return made;
}

// Sprites of one size and theme.
export class Sprites {
  constructor(t) {
    this.t = t;
    this.colours = palette();
    const lift = Math.round(t * LIFT);
    this.lift = lift;
    const block = (tones, detail) => [0, 1, 2, 3].map((variant) => canvas(t, t + lift, (c) => this.block(c, tones, lift, detail, variant)));
    this.wall = block(this.colours.wall, this.stone);
    this.border = block(this.colours.border, this.hedge);
    this.crate = block(this.colours.crate, this.planks);
    this.puff = puff(Math.round(t * 0.8), this.colours.smoke);
    this.items = [0, 1, 2].map((kind) => canvas(t, t, (c) => item(c, t, kind)));
  }

  block(c, [light, top, front, low], lift, detail, variant) {
    const t = this.t, gap = Math.max(1, t * 0.02), r = t * 0.16;
    c.fillStyle = low;
    round(c, gap, lift * 0.7, t - 2 * gap, t + lift * 0.3 - gap, r); c.fill();
    c.fillStyle = front;
    round(c, gap, lift * 0.5, t - 2 * gap, t + lift * 0.4 - gap, r); c.fill();
    const face = c.createLinearGradient(0, 0, 0, t);
    face.addColorStop(0, light); face.addColorStop(1, top);
    c.fillStyle = face;
    round(c, gap, gap, t - 2 * gap, t - 2 * gap, r); c.fill();
    c.save();
    round(c, gap, gap, t - 2 * gap, t - 2 * gap, r); c.clip();
    detail.call(this, c, variant, [light, top, front, low], lift);
    c.restore();
    c.strokeStyle = "rgba(255,255,255,.28)"; c.lineWidth = Math.max(1, t * 0.03);
    c.beginPath(); c.moveTo(gap + r, gap + c.lineWidth / 2); c.lineTo(t - gap - r, gap + c.lineWidth / 2); c.stroke();
  }

  stone(c, variant, [light, , front]) {
    const t = this.t;
    c.fillStyle = "rgba(255,255,255,.10)";
    round(c, t * 0.16, t * 0.16, t * 0.68, t * 0.68, t * 0.12); c.fill();
    c.fillStyle = front; c.globalAlpha = 0.28;
    for (let i = 0; i < 4; i++) {
      c.beginPath();
      c.arc(t * (0.2 + 0.6 * noise(variant * 9 + i)), t * (0.2 + 0.6 * noise(variant * 17 + i + 50)), t * (0.02 + 0.03 * noise(i + variant)), 0, 7);
      c.fill();
    }
    c.globalAlpha = 1;
    c.strokeStyle = light; c.lineWidth = t * 0.035; c.lineCap = "round";
    c.beginPath(); c.arc(t * 0.32, t * 0.32, t * 0.12, Math.PI, Math.PI * 1.5); c.stroke();
  }

  hedge(c, variant, [light, , front]) {
    const t = this.t;
    for (let i = 0; i < 9; i++) {
      c.fillStyle = i % 2 ? light : front;
      c.globalAlpha = i % 2 ? 0.35 : 0.3;
      c.beginPath();
      c.arc(t * noise(variant * 31 + i), t * noise(variant * 13 + i + 9), t * (0.07 + 0.06 * noise(i + variant * 3)), 0, 7);
      c.fill();
    }
    c.globalAlpha = 1;
  }

  planks(c, variant, [light, , front, low]) {
    const t = this.t, w = t * 0.12;
    c.strokeStyle = front; c.lineWidth = Math.max(1, t * 0.025); c.globalAlpha = 0.55;
    for (const at of [0.36, 0.64]) { c.beginPath(); c.moveTo(t * at, 0); c.lineTo(t * at, t); c.stroke(); }
    c.globalAlpha = 1;
    c.strokeStyle = front; c.lineWidth = w; c.lineCap = "butt";
    c.beginPath();
    if (variant % 2) { c.moveTo(t * 0.1, t * 0.1); c.lineTo(t * 0.9, t * 0.9); } else { c.moveTo(t * 0.9, t * 0.1); c.lineTo(t * 0.1, t * 0.9); }
    c.stroke();
    c.strokeStyle = light; c.lineWidth = w * 0.35; c.globalAlpha = 0.5; c.stroke(); c.globalAlpha = 1;
    c.strokeStyle = front; c.lineWidth = w;
    c.strokeRect(w / 2, w / 2, t - w, t - w);
    c.fillStyle = low;
    for (const [x, y] of [[0.09, 0.09], [0.91, 0.09], [0.09, 0.91], [0.91, 0.91]]) { c.beginPath(); c.arc(t * x, t * y, t * 0.028, 0, 7); c.fill(); }
  }

  // The floor and all walls: drawn once for an arena, and again when a wall closes in.
  ground(world) {
    const t = this.t, { width, height, grid } = world, colours = this.colours;
    return canvas(width * t, height * t, (c) => {
      c.fillStyle = colours.edge; c.fillRect(0, 0, width * t, height * t);
      for (let cell = 0; cell < grid.length; cell++) {
        const [column, row] = world.place(cell);
        c.fillStyle = colours.floor[(column + row) % 2];
        c.fillRect(column * t, row * t, t, t);
        c.fillStyle = colours.speck;
        for (let i = 0; i < 3; i++) {
          const r = t * (0.03 + 0.04 * noise(cell * 7 + i));
          c.beginPath(); c.arc(t * (column + 0.12 + 0.76 * noise(cell * 3 + i)), t * (row + 0.12 + 0.76 * noise(cell * 5 + i + 4)), r, 0, 7); c.fill();
        }
      }
    });
  }

  shade(c, x, y) {  // what a block darkens below it
    const t = this.t;
    const fall = c.createLinearGradient(0, y + t, 0, y + t * 1.34);
    fall.addColorStop(0, this.colours.shade); fall.addColorStop(1, "transparent");
    c.fillStyle = fall;
    c.fillRect(x, y + t, t, t * 0.34);
  }

  isBorder(world, cell) {
    const [column, row] = world.place(cell);
    return !column || !row || column === world.width - 1 || row === world.height - 1;
  }

  blockOf(world, cell) {
    const kinds = world.grid[cell] === CRATE ? this.crate : this.isBorder(world, cell) ? this.border : this.wall;
    return kinds[(cell * 7) % 4];
  }
}

function puff(size, tone) {
  return canvas(size, size, (c) => {
    const soft = c.createRadialGradient(size / 2, size / 2, 0, size / 2, size / 2, size / 2);
    soft.addColorStop(0, `rgba(${tone},.75)`); soft.addColorStop(0.55, `rgba(${tone},.4)`); soft.addColorStop(1, `rgba(${tone},0)`);
    c.fillStyle = soft;
    c.fillRect(0, 0, size, size);
  });
}

function item(c, t, kind) {
  const tones = [["#8b7bff", "#5a46e0"], ["#ff8a5c", "#e0452f"], ["#43d6a4", "#149b78"]][kind];
  c.fillStyle = "rgba(0,0,0,.25)";
  c.beginPath(); c.ellipse(t / 2, t * 0.86, t * 0.26, t * 0.08, 0, 0, 7); c.fill();
  const face = c.createLinearGradient(0, t * 0.14, 0, t * 0.8);
  face.addColorStop(0, tones[0]); face.addColorStop(1, tones[1]);
  c.fillStyle = "#fff";
  round(c, t * 0.15, t * 0.11, t * 0.7, t * 0.7, t * 0.2); c.fill();
  c.fillStyle = face;
  round(c, t * 0.2, t * 0.16, t * 0.6, t * 0.6, t * 0.16); c.fill();
  c.save();
  c.translate(t / 2, t * 0.46);
  glyph(c, kind, t * 0.3);
  c.restore();
}

// The sign of a power-up, `r` its radius.
export function glyph(c, kind, r, fill = "#fff") {
  c.fillStyle = c.strokeStyle = fill;
  c.lineCap = c.lineJoin = "round";
  c.beginPath();
  if (kind === 0) {
    c.arc(-r * 0.08, r * 0.16, r * 0.58, 0, 7); c.fill();
    c.lineWidth = r * 0.2;
    c.beginPath(); c.moveTo(r * 0.28, -r * 0.3); c.quadraticCurveTo(r * 0.45, -r * 0.75, r * 0.8, -r * 0.62); c.stroke();
  } else if (kind === 1) {
    c.moveTo(0, -r * 0.9);
    c.bezierCurveTo(r * 0.15, -r * 0.35, r * 0.75, -r * 0.15, r * 0.6, r * 0.4);
    c.bezierCurveTo(r * 0.5, r * 0.85, -r * 0.5, r * 0.85, -r * 0.6, r * 0.4);
    c.bezierCurveTo(-r * 0.68, r * 0.05, -r * 0.35, -r * 0.05, -r * 0.28, -r * 0.35);
    c.bezierCurveTo(-r * 0.1, -r * 0.25, -r * 0.12, -r * 0.6, 0, -r * 0.9);
    c.fill();
  } else {
    c.lineWidth = r * 0.3;
    for (const x of [-0.45, 0.2]) { c.beginPath(); c.moveTo(r * x, -r * 0.55); c.lineTo(r * (x + 0.45), 0); c.lineTo(r * x, r * 0.55); c.stroke(); }
  }
}

export function bomb(c, x, y, t, hue, left, at) {
  // It swells faster the less is left.
  const beat = Math.sin(at / (40 + 60 * Math.min(1, Math.max(0, left)))), size = t * 0.34 * (1 + 0.07 * beat), hot = left < 0.3 && beat > 0;
  c.fillStyle = "rgba(0,0,0,.3)";
  c.beginPath(); c.ellipse(x, y + t * 0.3, size * 0.95, size * 0.35, 0, 0, 7); c.fill();
  c.strokeStyle = colour(hue, 60, 85, 0.9); c.lineWidth = t * 0.06;
  c.beginPath(); c.ellipse(x, y + t * 0.27, size * 1.02, size * 0.42, 0, 0, 7); c.stroke();
  const skin = c.createRadialGradient(x - size * 0.35, y - size * 0.4, size * 0.1, x, y, size * 1.1);
  skin.addColorStop(0, hot ? "#ff9c8a" : "#737b99"); skin.addColorStop(0.45, hot ? "#c2283a" : "#2c3146"); skin.addColorStop(1, hot ? "#6d0f22" : "#10121f");
  c.fillStyle = skin;
  c.beginPath(); c.arc(x, y, size, 0, 7); c.fill();
  c.fillStyle = "rgba(255,255,255,.55)";
  c.beginPath(); c.ellipse(x - size * 0.38, y - size * 0.42, size * 0.2, size * 0.12, -0.7, 0, 7); c.fill();
  c.fillStyle = hot ? "#7d1a28" : "#4a5170";
  round(c, x + size * 0.2, y - size * 1.08, size * 0.5, size * 0.36, size * 0.1); c.fill();
  const tip = fuseTip(x, y, t, left, size);
  c.strokeStyle = "#e8d3a3"; c.lineWidth = t * 0.045; c.lineCap = "round";
  c.beginPath(); c.moveTo(x + size * 0.45, y - size * 1.05);
  c.quadraticCurveTo(x + size * 0.55, y - size * 1.4, tip.x, tip.y); c.stroke();
  const spark = t * (0.09 + 0.04 * Math.sin(at / 23));
  c.fillStyle = "#fff3b0"; c.beginPath(); c.arc(tip.x, tip.y, spark * 0.55, 0, 7); c.fill();
  c.strokeStyle = "#ffb347"; c.lineWidth = t * 0.025;
  c.beginPath();
  for (let i = 0; i < 5; i++) {
    const angle = at / 90 + (i * Math.PI * 2) / 5;
    c.moveTo(tip.x, tip.y); c.lineTo(tip.x + Math.cos(angle) * spark * 1.5, tip.y + Math.sin(angle) * spark * 1.5);
  }
  c.stroke();
}

const fuseTip = (x, y, t, left, size) => ({ x: x + size * (0.5 + 0.55 * left), y: y - size * (1.1 + 0.3 * left) });

// Fire as one shape: thick lines from the middle of each burning tile to the sides where it goes on, in four colours.
export function fire(c, flames, world, t, now, at) {
  c.lineCap = c.lineJoin = "round";
  const sides = [[0, -1], [1, 0], [0, 1], [-1, 0]];
  for (const [tone, width] of [["#c8261d", 0.94], ["#ff6a1f", 0.76], ["#ffc53a", 0.5], ["#fff6cf", 0.24]]) {
    c.strokeStyle = tone;
    for (const [cell, flame] of flames) {
      const age = (now - flame.since) / (flame.until - flame.since);
      if (age >= 1) continue;
      const swell = age < 0.15 ? age / 0.15 : 1 - ((age - 0.15) / 0.85) ** 2.2;
      const [column, row] = world.place(cell), x = (column + 0.5) * t, y = (row + 0.5) * t;
      const shiver = 1 + 0.1 * Math.sin(at / 28 + cell * 1.7);
      c.lineWidth = Math.max(0.5, t * width * swell * (flame.heart ? 1.06 : 0.92) * shiver);
      c.beginPath();
      if (!flame.links) { c.moveTo(x, y); c.lineTo(x + 0.1, y); }
      sides.forEach(([dx, dy], side) => { if (flame.links & (1 << side)) { c.moveTo(x, y); c.lineTo(x + dx * t * 0.5, y + dy * t * 0.5); } });
      c.stroke();
    }
  }
}

export function glow(c, flames, world, t, now, strength) {
  c.save();
  c.globalCompositeOperation = "lighter";
  for (const [cell, flame] of flames) {
    if (!flame.heart) continue;
    const age = (now - flame.since) / (flame.until - flame.since);
    if (age >= 1) continue;
    const [column, row] = world.place(cell), x = (column + 0.5) * t, y = (row + 0.5) * t, r = t * 3.2;
    const light = c.createRadialGradient(x, y, 0, x, y, r);
    light.addColorStop(0, `rgba(255,150,60,${0.45 * (1 - age) * strength})`); light.addColorStop(1, "transparent");
    c.fillStyle = light;
    c.fillRect(x - r, y - r, 2 * r, 2 * r);
  }
  c.restore();
}

// A player: a browser tab on two feet, with a fuse on its head. `step` counts walked tiles; `look` is the facing.
export function hero(c, x, y, t, { hue, look = 3, step = 0, walking = false, at = 0, dead = 0, away = false, me = false }) {
  const swing = walking ? Math.sin(step * Math.PI * 2) : 0, hop = walking ? Math.abs(Math.sin(step * Math.PI * 2)) * 0.06 : 0.012 * Math.sin(at / 260);
  c.save();
  c.translate(x, y + t * 0.3);
  if (!dead) {
    c.fillStyle = "rgba(0,0,0,.3)";
    c.beginPath(); c.ellipse(0, t * 0.03, t * 0.29, t * 0.1, 0, 0, 7); c.fill();
    if (me) {
      c.strokeStyle = colour(hue, 72, 95, 0.95); c.lineWidth = t * 0.045;
      c.beginPath(); c.ellipse(0, t * 0.03, t * 0.4, t * 0.16, 0, 0, 7); c.stroke();
    }
  } else {
    c.translate(0, -t * 1.5 * dead * (1.2 - dead));
    c.rotate(Math.sin(dead * 9) * 0.5);
    c.scale(1 + 0.25 * dead, 1 - 0.35 * dead);
    c.globalAlpha = Math.max(0, 1 - dead * dead);
  }
  if (away) c.globalAlpha *= 0.45;
  // Feet.
  c.fillStyle = colour(hue, 24, 45);
  for (const side of [-1, 1]) {
    const lift = Math.max(0, side * swing) * 0.1, across = look === 2 || look === 4 ? side * swing * 0.09 : 0;
    c.beginPath(); c.ellipse((side * 0.13 + across) * t, -t * (0.02 + lift), t * 0.105, t * 0.075, 0, 0, 7); c.fill();
  }
  c.translate(0, -t * (0.06 + hop));
  c.rotate(swing * 0.045);
  // Fuse.
  const lean = { 1: 0, 2: -0.12, 3: 0, 4: 0.12 }[look] ?? 0;
  c.strokeStyle = colour(hue, 26, 40); c.lineWidth = t * 0.05; c.lineCap = "round";
  c.beginPath(); c.moveTo(0, -t * 0.62); c.quadraticCurveTo(lean * t * 0.3, -t * 0.76, (lean + 0.02 * swing) * t, -t * 0.83); c.stroke();
  c.fillStyle = "#ffd45e"; c.beginPath(); c.arc((lean + 0.02 * swing) * t, -t * 0.84, t * 0.055, 0, 7); c.fill();
  // Body: a tab.
  const w = t * 0.31, h = t * 0.66, flare = t * 0.07;
  c.beginPath();
  c.moveTo(-w - flare, 0);
  c.quadraticCurveTo(-w, -t * 0.02, -w, -t * 0.12);
  c.lineTo(-w, -h + t * 0.18);
  c.quadraticCurveTo(-w, -h, -w + t * 0.18, -h);
  c.lineTo(w - t * 0.18, -h);
  c.quadraticCurveTo(w, -h, w, -h + t * 0.18);
  c.lineTo(w, -t * 0.12);
  c.quadraticCurveTo(w, -t * 0.02, w + flare, 0);
  c.quadraticCurveTo(0, t * 0.07, -w - flare, 0);
  const skin = c.createLinearGradient(0, -h, 0, 0);
  skin.addColorStop(0, colour(hue, 68, 88)); skin.addColorStop(0.6, colour(hue, 55, 76)); skin.addColorStop(1, colour(hue, 42, 70));
  c.fillStyle = skin; c.fill();
  c.strokeStyle = colour(hue, 22, 55, 0.85); c.lineWidth = Math.max(1, t * 0.035); c.stroke();
  c.fillStyle = "rgba(255,255,255,.35)";
  c.beginPath(); c.ellipse(-w * 0.5, -h + t * 0.12, t * 0.09, t * 0.04, -0.5, 0, 7); c.fill();
  face(c, t, w, h, look, at, hue, dead);
  c.restore();
}

function face(c, t, w, h, look, at, hue, dead) {
  if (look === 1 && !dead) {  // from behind: the cross that closes a tab
    c.strokeStyle = colour(hue, 26, 50, 0.9); c.lineWidth = t * 0.05;
    c.beginPath();
    c.moveTo(-t * 0.07, -h * 0.62); c.lineTo(t * 0.07, -h * 0.62 + t * 0.14); c.moveTo(t * 0.07, -h * 0.62); c.lineTo(-t * 0.07, -h * 0.62 + t * 0.14);
    c.stroke();
    return;
  }
  const turn = look === 2 ? 0.09 : look === 4 ? -0.09 : 0, blink = (at + hue * 37) % 3400 < 120 ? 0.15 : 1;
  for (const side of [-1, 1]) {
    const x = (side * 0.12 + turn) * t, y = -h * 0.55;
    if (dead) {
      c.strokeStyle = "#1b1d2b"; c.lineWidth = t * 0.04;
      c.beginPath(); c.moveTo(x - t * 0.05, y - t * 0.05); c.lineTo(x + t * 0.05, y + t * 0.05); c.moveTo(x + t * 0.05, y - t * 0.05); c.lineTo(x - t * 0.05, y + t * 0.05); c.stroke();
      continue;
    }
    c.fillStyle = "#fff";
    c.beginPath(); c.ellipse(x, y, t * 0.085, t * 0.115 * blink, 0, 0, 7); c.fill();
    c.fillStyle = "#1b1d2b";
    c.beginPath(); c.ellipse(x + turn * t * 0.35, y + t * 0.02, t * 0.042, t * 0.06 * blink, 0, 0, 7); c.fill();
  }
  c.strokeStyle = "rgba(27,29,43,.8)"; c.lineWidth = t * 0.032; c.lineCap = "round";
  c.beginPath();
  if (dead) c.arc(turn * t, -h * 0.2, t * 0.06, Math.PI * 1.1, Math.PI * 1.9); else c.arc(turn * t, -h * 0.34, t * 0.06, 0.15 * Math.PI, 0.85 * Math.PI);
  c.stroke();
}

// Sparks, splinters, smoke and words that float: short-lived, bounded in number, for the eye only.

import { colour, glyph } from "./art.js";

const MOST = 420;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Effects {
  constructor() {
    this.all = [];
    this.shaking = 0;
  }

  // Units are tiles and seconds.
  add(kind, x, y, life, more) {
    if (this.all.length >= MOST) this.all.shift();
    this.all.push({ kind, x, y, vx: 0, vy: 0, life, age: 0, ...more });
  }

  boom(cells, hearts, crates, place) {
    for (const cell of hearts) {
      const [x, y] = place(cell);
      this.add("ring", x + 0.5, y + 0.5, 0.35, { size: 2.1 });
      this.sparks(x + 0.5, y + 0.5, 14, 7);
    }
    for (const cell of cells) {
      const [x, y] = place(cell);
      this.add("smoke", x + 0.3 + Math.random() * 0.4, y + 0.4, 0.9 + Math.random() * 0.5, { vy: -0.5, size: 0.28, wait: 0.28 });
    }
    for (const cell of crates) {
      const [x, y] = place(cell);
      for (let i = 0; i < 7; i++)
        this.add("chip", x + 0.5, y + 0.4, 0.5 + Math.random() * 0.3, { vx: (Math.random() - 0.5) * 6, vy: -2.5 - Math.random() * 3, g: 13, spin: Math.random() * 9, size: 0.07 + Math.random() * 0.09 });
    }
    if (!calm.matches) this.shaking = Math.min(1, this.shaking + 0.3 * hearts.length);
  }

  sparks(x, y, count, speed, tone = "#ffd27a") {
    for (let i = 0; i < count; i++) {
      const angle = Math.random() * 7, fast = speed * (0.3 + Math.random() * 0.7);
      this.add("spark", x, y, 0.25 + Math.random() * 0.35, { vx: Math.cos(angle) * fast, vy: Math.sin(angle) * fast, g: 4, tone, size: 0.05 });
    }
  }

  dust(x, y) { this.add("smoke", x, y, 0.35, { vy: -0.3, size: 0.1, faint: true }); }

  taken(x, y, kind, hue) {
    this.add("sign", x, y - 0.4, 0.9, { vy: -1.1, sign: kind, hue });
    this.sparks(x, y - 0.2, 8, 3, colour(hue, 75));
  }

  death(x, y, hue) {
    this.sparks(x, y - 0.3, 22, 6, colour(hue, 70));
    for (let i = 0; i < 6; i++) this.add("smoke", x + (Math.random() - 0.5) * 0.5, y - Math.random() * 0.4, 0.8, { vy: -0.8, size: 0.22 });
    if (!calm.matches) this.shaking = Math.min(1, this.shaking + 0.35);
  }

  confetti(width) {
    for (let i = 0; i < (calm.matches ? 20 : 110); i++)
      this.add("chip", Math.random() * width, -0.5 - Math.random() * 4, 3.2, { vx: (Math.random() - 0.5) * 1.5, vy: 2 + Math.random() * 2, g: 0.6, spin: 3 + Math.random() * 6, size: 0.1 + Math.random() * 0.08, tone: colour(Math.random() * 360, 62, 85) });
  }

  shake() {
    if (this.shaking <= 0.01) return [0, 0];
    return [(Math.random() - 0.5) * 0.16 * this.shaking, (Math.random() - 0.5) * 0.16 * this.shaking];
  }

  step(seconds) {
    this.shaking *= Math.exp(-seconds * 7);
    for (const one of this.all) {
      if (one.wait > 0) { one.wait -= seconds; continue; }
      one.age += seconds;
      one.vy += (one.g ?? 0) * seconds;
      one.x += one.vx * seconds; one.y += one.vy * seconds;
    }
    this.all = this.all.filter((one) => one.age < one.life);
  }

  draw(c, t, puff) {
    for (const one of this.all) {
      if (one.wait > 0) continue;
      const gone = one.age / one.life, x = one.x * t, y = one.y * t, size = (one.size ?? 0.1) * t;
      if (one.kind === "spark") {
        c.globalAlpha = 1 - gone;
        c.strokeStyle = one.tone; c.lineWidth = size; c.lineCap = "round";
        c.beginPath(); c.moveTo(x, y); c.lineTo(x - one.vx * t * 0.03, y - one.vy * t * 0.03); c.stroke();
      } else if (one.kind === "smoke") {
        const r = size * (1.4 + gone * 1.8);
        c.globalAlpha = (one.faint ? 0.45 : 0.6) * (1 - gone) * Math.min(1, gone * 6);
        c.drawImage(puff, x - r, y - r, 2 * r, 2 * r);
      } else if (one.kind === "chip") {
        c.globalAlpha = Math.min(1, 3 * (1 - gone));
        c.save(); c.translate(x, y); c.rotate(one.spin * one.age * 3);
        c.fillStyle = one.tone ?? "#c98646"; c.fillRect(-size, -size * 0.5, size * 2, size); c.restore();
      } else if (one.kind === "ring") {
        c.globalAlpha = 0.7 * (1 - gone);
        c.strokeStyle = "#fff1c9"; c.lineWidth = t * 0.14 * (1 - gone);
        c.beginPath(); c.arc(x, y, Math.max(0, size * Math.sqrt(gone)), 0, 7); c.stroke();
      } else if (one.kind === "sign") {
        c.globalAlpha = Math.min(1, 2.5 * (1 - gone));
        c.fillStyle = colour(one.hue, 35, 70); c.beginPath(); c.arc(x, y, t * 0.26, 0, 7); c.fill();
        c.save(); c.translate(x, y); glyph(c, one.sign, t * 0.2); c.restore();
      }
    }
    c.globalAlpha = 1;
  }
}

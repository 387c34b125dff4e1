// The lobby: who you are, where to play, and a parade for the eye.

import { bomb, fire, hero, colour } from "./art.js";

const $ = (id) => document.getElementById(id);
export const HUES = [200, 168, 130, 45, 20, 350, 315, 275];
const NAMES = ["Ada", "Grace", "Linus", "Tim", "Hedy", "Alan", "Edsger", "Radia", "Barbara", "Dennis", "Margaret", "Ken"];
const ROOMS = ["attic", "bazaar", "cellar", "depot", "forge", "garden", "harbour", "kiosk", "lagoon", "market", "orchard", "quarry"];
const STALE = 7000;  // ms without a line, after which a room is gone
const any = (list) => list[Math.floor(Math.random() * list.length)];

export class Lobby {
  constructor(enter) {
    this.rooms = new Map();
    const kept = JSON.parse(sessionStorage.getItem("me") ?? localStorage.getItem("me") ?? "null");
    this.me = kept ?? { name: any(NAMES), hue: any(HUES) };
    $("name").value = this.me.name;
    for (const hue of HUES) {
      const swatch = document.createElement("button");
      swatch.type = "button"; swatch.className = "hue";
      swatch.style.setProperty("--hue", hue);
      swatch.setAttribute("aria-label", `Colour ${hue}`);
      swatch.onclick = () => { this.me.hue = hue; this.swatches(); };
      $("hues").append(swatch);
    }
    this.swatches();
    $("enter").onsubmit = (event) => {
      event.preventDefault();
      this.keep();
      enter($("room").value.trim() || this.liveliest() || any(ROOMS), { fill: Number($("fill").value) });
    };
    $("list").onclick = (event) => {
      const link = event.target.closest("a");
      if (!link) return;
      event.preventDefault();
      this.keep();
      enter(link.dataset.room, { watch: link.classList.contains("look") });
    };
    this.parade = new Parade($("parade"), this.me);
    setInterval(() => this.show(), 1000);
  }

  keep() {
    this.me.name = $("name").value.trim() || any(NAMES);
    for (const store of [sessionStorage, localStorage]) store.setItem("me", JSON.stringify(this.me));
  }

  swatches() {
    [...$("hues").querySelectorAll("button")].forEach((swatch, index) => swatch.setAttribute("aria-pressed", HUES[index] === this.me.hue));
  }

  // Where most people are, if there is a seat left.
  liveliest() {
    return [...this.rooms.values()].filter(({ people }) => people && people < 8).sort((a, b) => b.people - a.people)[0]?.name;
  }

  line(room) {
    if (room.gone) this.rooms.delete(room.name);
    else this.rooms.set(room.name, { ...room, at: performance.now() });
    this.show();
  }

  forget() { this.rooms.clear(); this.show(); }

  show() {
    if (document.body.dataset.view !== "lobby") return;
    for (const [name, room] of this.rooms) if (performance.now() - room.at > STALE) this.rooms.delete(name);
    const rooms = [...this.rooms.values()].sort((a, b) => b.people - a.people || a.name.localeCompare(b.name));
    const text = JSON.stringify(rooms.map(({ at, ...room }) => room));
    if (text === this.text) return;
    this.text = text;
    $("count").textContent = rooms.length;
    $("list").replaceChildren(...rooms.map((room) => {
      const line = document.createElement("li"), name = document.createElement("b"), about = document.createElement("small");
      name.textContent = room.name;
      const phase = { waiting: "waiting", starting: `round ${room.round}`, playing: `round ${room.round}`, over: `round ${room.round}` }[room.phase];
      const number = (count, one, many) => (count ? [`${count} ${count === 1 ? one : many}`] : []);
      about.textContent = [...number(room.people, "player", "players"), ...number(room.bots, "bot", "bots"), ...number(room.watching, "spectator", "spectators"), phase].join(" · ");
      about.title = room.names.join(", ");
      line.append(name, about);
      for (const [label, kind] of [["Watch", "look"], ["Join", "join"]]) {
        const link = document.createElement("a");
        link.href = `#${encodeURIComponent(room.name)}`; link.textContent = label; link.className = `button ${kind}`; link.dataset.room = room.name;
        line.append(link);
      }
      return line;
    }));
  }
}

// A few tabs that run from left to right; one of them leaves a bomb behind now and then.
class Parade {
  constructor(canvas, me) {
    this.canvas = canvas;
    this.me = me;
    this.tabs = [me.hue, ...HUES.filter((hue) => hue !== me.hue)].slice(0, 6).map((hue, index) => ({ hue, x: null, pace: 1.5 + 0.12 * ((index * 5) % 4) }));
    this.bombs = [];
    this.last = 0;
  }

  frame(at) {
    const { canvas } = this, ratio = devicePixelRatio || 1, width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const c = canvas.getContext("2d"), t = height / 2.6, wide = width / t, seconds = Math.min(0.1, (at - this.last) / 1000), floor = height * 0.72;
    this.last = at;
    c.clearRect(0, 0, width, height);
    c.fillStyle = colour(228, 50, 20, 0.16);
    for (let x = -1; x < wide + 1; x++) { c.beginPath(); c.roundRect((x + 0.06) * t, floor + t * 0.36, t * 0.88, t * 0.1, t * 0.05); c.fill(); }
    const world = { place: () => [0, 0] };
    for (const lies of this.bombs) {
      const left = (lies.until - at) / 2500;
      if (left > 0) bomb(c, lies.x * t, floor, t * 0.9, lies.hue, left, at);
      else {
        c.save(); c.translate((lies.x - 0.5) * t, floor - t * 0.5);
        fire(c, [[0, { since: lies.until, until: lies.until + 500, links: 10, heart: true }]], world, t, at, at);
        c.restore();
      }
    }
    this.bombs = this.bombs.filter((lies) => at < lies.until + 500);
    this.tabs.forEach((tab, index) => {
      tab.x ??= (wide * (index + 0.5)) / this.tabs.length;
      tab.x += tab.pace * seconds;
      if (tab.x > wide + 1) { tab.x = -1 - Math.random() * 2; tab.pace = 1.3 + Math.random() * 0.8; }
      if (this.bombs.length < 2 && Math.random() < seconds * 0.06 && tab.x > 1 && tab.x < wide - 2) this.bombs.push({ x: tab.x, until: at + 1800, hue: tab.hue });
      hero(c, tab.x * t, floor + (index % 2) * t * 0.08, t, { hue: index ? tab.hue : this.me.hue, look: index === 3 ? 3 : 2, step: (tab.x * 0.9) % 1, walking: true, at: at + index * 800 });
    });
  }
}

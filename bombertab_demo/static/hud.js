// What stands around the arena: seats, timer, banners, the feed of who closed whom, the chat and the overlay (F3).

import { glyph } from "./art.js";

const $ = (id) => document.getElementById(id);
const POINTS = 3;

function element(tag, text = "", hue = null, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  if (hue !== null) made.style.setProperty("--hue", hue);
  return made;
}

export class Hud {
  constructor(world, sound) {
    this.world = world;
    this.sound = sound;
    this.shownCount = "";
    this.rates = { at: performance.now(), in: [0, 0], out: [0, 0] };
    this.own = [0, 1, 2].map((kind) => {
      const box = element("span"), sign = document.createElement("canvas"), number = element("i");
      sign.width = sign.height = 64;
      const c = sign.getContext("2d");
      c.translate(32, 32); glyph(c, kind, 28);
      number.style.fontStyle = "normal";
      box.append(sign, number);
      $("own").append(box);
      return { box, number, value: "" };
    });
    world.on((name, ...values) => this.hear(name, values));
  }

  hear(name, values) {
    const { world, sound } = this;
    if (name === "seats" || name === "arena" || name === "die" || name === "phase") this.seats();
    if (name === "bomb") sound.play("bomb");
    else if (name === "boom") sound.play("boom");
    else if (name === "take") { if (values[1] === world.slot) sound.play("take"); }
    else if (name === "die") { sound.play("die"); this.obituary(...values); }
    else if (name === "hurry") { sound.play("hurry"); this.flash("Hurry up!"); }
    else if (name === "won") { if (values[0] === world.slot || values[1]) sound.play("won"); this.banner(); }
    if (name === "phase" || name === "arena" || name === "seats") this.banner();
    if (name === "phase" && world.phase === "playing") { sound.play("go"); this.flash("Go!"); }
  }

  name(slot) { return this.world.seats.get(slot)?.name ?? "Somebody"; }

  seats() {
    const { world } = this, list = $("seats");
    list.replaceChildren(...[...world.seats.values()].sort((a, b) => b.score - a.score || a.slot - b.slot).map((seat) => {
      const line = element("li", "", seat.hue), player = world.players.get(seat.slot), who = element("b", seat.name);
      line.dataset.slot = seat.slot;
      if (world.phase !== "waiting" && !player?.alive) line.classList.add("dead");
      if (seat.slot === world.slot) line.classList.add("me");
      const note = seat.bot ? "bot" : seat.away ? "lost" : seat.slot === world.slot ? "you" : "";
      if (note) who.append(" ", element("small", note));
      const score = element("span", "", null, "score");
      score.append(element("i", "★".repeat(seat.score)), "★".repeat(Math.max(0, POINTS - seat.score)));
      line.append(element("span", "", null, "tab"), who, score);
      return line;
    }));
    $("bots").value = String(world.fill === 1 ? 0 : world.fill);
  }

  obituary(slot, killer) {
    const line = element("p"), victim = element("b", this.name(slot), this.world.seats.get(slot)?.hue ?? 0);
    if (killer < 0) line.append(victim, " was closed by the wall");
    else if (killer === slot) line.append(victim, " closed itself");
    else line.append(element("b", this.name(killer), this.world.seats.get(killer)?.hue ?? 0), " closed ", victim);
    $("feed").append(line);
    while ($("feed").children.length > 4) $("feed").firstChild.remove();
    setTimeout(() => line.remove(), 5000);
  }

  flash(text) {
    const shown = element("div", text, null, "count");
    shown.style.fontSize = "min(4em, 13vmin)";
    $("banner").replaceChildren(shown);
    clearTimeout(this.flashing);
    this.flashing = setTimeout(() => { if (shown.isConnected) shown.remove(); }, 900);
  }

  banner() {
    const { world } = this, banner = $("banner");
    this.shownCount = "";
    if (world.phase === "waiting") {
      const box = element("div", "", null, "box");
      box.append(element("strong", "Waiting for another tab"), element("span", "Send somebody the address of this room, or open it in a second tab."), document.createElement("br"));
      const bots = element("button", "Let bots in");
      bots.id = "let-bots";
      box.append(bots);
      banner.replaceChildren(box);
    } else if (world.phase === "over") {
      const box = element("div", "", null, "box"), won = world.winner;
      if (won < 0) box.append(element("strong", "A draw"), element("span", "Nobody is left to cheer."));
      else {
        const you = won === world.slot;
        box.append(element("strong", world.champion ? (you ? "You win the match!" : `${this.name(won)} wins the match!`) : you ? "Your round!" : `${this.name(won)} wins the round`));
        box.append(element("span", world.champion ? "A new match begins in a moment." : "The next round begins in a moment."));
      }
      banner.replaceChildren(box);
    } else if (!banner.querySelector(".count")) banner.replaceChildren();
  }

  frame() {
    const { world } = this, now = world.now(), timer = $("timer");
    let text = "";
    if (world.phase === "playing") {
      const left = Math.ceil((world.hurryAt - now) / world.rate);
      text = left > 0 ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` : "Hurry!";
      timer.classList.toggle("late", left <= 10);
    } else if (world.phase === "starting") {
      const left = String(Math.max(1, Math.ceil((world.phaseEnds - now) / world.rate)));
      if (left !== this.shownCount) {
        this.shownCount = left;
        $("banner").replaceChildren(element("div", left, null, "count"));
        this.sound.play("count");
      }
    }
    if (timer.value !== text) timer.value = text;
    const me = world.me;
    const values = me?.alive ? [`${Math.max(0, me.bombs - me.placed)}/${me.bombs}`, String(me.blast), String(me.speed + 1)] : ["", "", ""];
    this.own.forEach((one, kind) => {
      if (one.value === values[kind]) return;
      one.value = one.number.textContent = values[kind];
      one.box.hidden = !values[kind];
    });
  }

  said(slot, name, text) {
    const line = element("p"), hue = this.world.seats.get(slot)?.hue;
    line.append(element("b", name, hue ?? 220), " ", text);
    this.log(line);
    if (!$("chat").checkVisibility()) $("unread").hidden = false;
  }

  note(text) { this.log(element("p", text, null, "note")); }

  log(line) {
    const log = $("log");
    const end = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(line);
    while (log.children.length > 100) log.firstChild.remove();
    if (end) log.scrollTop = log.scrollHeight;
  }

  clearLog() { $("log").replaceChildren(); $("feed").replaceChildren(); }

  // Once a second.
  overlay(net, frames) {
    const now = performance.now(), seconds = (now - this.rates.at) / 1000;
    const rate = (kind, before) => [(net[kind].messages - before[0]) / seconds, (net[kind].bytes - before[1]) / seconds];
    const received = rate("in", this.rates.in), sent = rate("out", this.rates.out);
    this.rates = { at: now, in: [net.in.messages, net.in.bytes], out: [net.out.messages, net.out.bytes] };
    if ($("overlay").hidden) return;
    const figures = ([messages, bytes]) => `${messages.toFixed(0).padStart(4)} messages/s ${bytes.toFixed(0).padStart(6)} bytes/s`;
    $("overlay").textContent = [
      `ping ${net.ping ?? "-"} ms`, `in  ${figures(received)}`, `out ${figures(sent)}`,
      `${frames} frames/s, ${this.world.rate} ticks/s, ${this.world.pending.length} ahead`,
    ].join("\n");
  }
}

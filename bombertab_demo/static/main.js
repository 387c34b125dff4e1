// The page: what the address says (#room, ?bots=0, ?lag=150, ?classic) decides what is shown; the loop ticks and draws.

import { Effects } from "./effects.js";
import { Hud } from "./hud.js";
import { Input } from "./input.js";
import { Lobby } from "./lobby.js";
import { Net } from "./net.js";
import { Sound } from "./sound.js";
import { Stage } from "./stage.js";
import { World } from "./world.js";

const $ = (id) => document.getElementById(id);
const SILENCE = 4000;  // ms without a word from a room, after which we ask for it again

const query = new URLSearchParams(location.search), classic = query.has("classic");
const bots = Math.min(8, Math.max(0, Number(query.get("bots") ?? 4) || 0));
const world = new World(), effects = new Effects(), sound = new Sound(), input = new Input();
const stage = new Stage($("arena"), world, effects), hud = new Hud(world, sound);
const lobby = new Lobby(enter);
const wish = { watch: false, fill: bots };
let room = null, heard = 0, frames = 0;

// -- the address

function enter(name, { watch = false, fill = bots } = {}) {
  Object.assign(wish, { watch, fill });
  const hash = `#${encodeURIComponent(name)}`;
  if (location.hash === hash) route(); else location.hash = hash;
}

function route() {
  let name = location.hash.slice(1);
  try { name = decodeURIComponent(name); } catch { /* as it stands */ }
  name = name.replace(/\s+/g, " ").trim().slice(0, 24);
  if (!name && classic) name = "classic";
  room = name || null;
  document.body.dataset.view = room ? "game" : "lobby";
  document.title = room ? `${room} - Bombertab` : "Bombertab";
  $("room-name").textContent = room ?? "";
  world.clear();
  world.slot = null;
  hud.clearLog(); hud.seats();
  $("banner").replaceChildren();
  effects.all = [];
  greet();
  if (room) { stage.fit(); $("arena").focus(); }
}

function greet() {
  if (!net.open) return;
  heard = performance.now();
  if (!room) { lobby.forget(); net.send({ t: "lobby" }); return; }
  const token = sessionStorage.getItem(`token ${room}`) ?? "";
  net.send({ t: "hello", room, name: lobby.me.name, hue: lobby.me.hue, token, watch: wish.watch, fill: wish.fill });
}

// -- what the server says

const heed = {
  welcome(message) {
    sessionStorage.setItem(`token ${message.room}`, message.token);
    world.slot = message.slot;
    hud.clearLog();
    if (!matchMedia("(pointer: coarse)").matches) hud.note("Enter to talk, F3 for the connection.");
    for (const said of message.chat) hud.said(said.slot, said.name, said.text);
    watching();
  },
  seat(message) { world.slot = message.slot; watching(); },
  snap(message) { world.snapshot(message); },
  ev(message) { if (!world.events(message)) net.send({ t: "sync" }); },
  said(message) { hud.said(message.slot, message.name, message.text); },
  room(message) { lobby.line(message); },
  moved() { greet(); },
  replaced() { net.end(); state("This player is in another tab now.", true); },
  bye(message) { hud.note(message.text); state(message.text, true); },
  error(message) { hud.note(message.text); },
};

function watching() {
  $("watch").textContent = world.slot === null ? "Play" : "Watch";
  $("game").classList.toggle("watching", world.slot === null);
  input.release();
}

function state(text, bad = false) {
  $("state").value = text;
  $("state").classList.toggle("bad", bad);
}

async function connect() {
  const handlers = {
    open() { state(""); greet(); },
    close(event) {
      if (event.code === 1008) net.end();
      state(event.reason && event.code !== 1001 ? `Closed: ${event.reason}` : "Connection lost, trying again", true);
    },
    message(message) {
      heard = performance.now();
      heed[message.t]?.(message);
    },
    moves(clock, records) {
      heard = performance.now();
      if (world.ready) world.moves(clock, records);
    },
  };
  if (classic) {
    const { Classic } = await import("./classic.js");
    return new Classic(handlers, world);
  }
  return new Net(handlers);
}

// -- the loop: ticks of the own player at the server's rate, and a frame whenever the screen wants one

let tickAt = performance.now();

function frame(at) {
  requestAnimationFrame(frame);
  frames++;
  if (!room) { lobby.parade.frame(at); return; }
  const period = 1000 / world.rate;
  if (at - tickAt > 250) tickAt = at;  // the page was not shown
  while (at - tickAt >= period) {
    tickAt += period;
    if (world.playing) {
      const order = world.step(input.held, input.takeBomb());
      if (order) net.command(...order);
    } else input.takeBomb();
  }
  world.tidy();
  stage.frame(at, (at - tickAt) / period);
  hud.frame();
}

setInterval(() => {
  hud.overlay(net, frames);
  frames = 0;
  if (room && net.open && performance.now() - heard > SILENCE) greet();
}, 1000);

// -- buttons and keys

addEventListener("hashchange", route);
$("share").onclick = async () => {
  try { await navigator.clipboard.writeText(location.href); hud.note("The address of this room is copied."); } catch { hud.note(location.href); }
};
$("sound").onclick = () => { sound.toggle(); $("sound").setAttribute("aria-pressed", sound.on); };
$("sound").setAttribute("aria-pressed", sound.on);
$("bots").onchange = () => { net.send({ t: "fill", fill: Number($("bots").value) }); $("arena").focus(); };
$("watch").onclick = () => { wish.watch = world.slot !== null; greet(); $("arena").focus(); };
$("banner").onclick = (event) => { if (event.target.id === "let-bots") net.send({ t: "fill", fill: 4 }); };
$("say").onsubmit = (event) => {
  event.preventDefault();
  const text = $("words").value.trim();
  if (text) net.send({ t: "chat", text });
  $("words").value = "";
  $("arena").focus();
};
function talk(open) {
  document.body.dataset.chat = open ? "open" : "";
  $("unread").hidden = true;
  if (open) $("words").focus(); else $("arena").focus();
}
$("talk").onclick = () => talk(document.body.dataset.chat !== "open");
addEventListener("keydown", (event) => {
  if (event.code === "F3") { event.preventDefault(); $("overlay").hidden = !$("overlay").hidden; }
  else if (event.code === "Enter" && room && !event.target.matches("input, button, a, select")) { event.preventDefault(); talk(true); }
  else if (event.code === "Escape" && event.target === $("words")) talk(false);
});
input.touch($("pad"), $("knob"), $("drop"));

const dark = matchMedia("(prefers-color-scheme: dark)");
function theme(chosen) {
  if (chosen) { document.documentElement.dataset.theme = chosen; localStorage.setItem("theme", chosen); }
  document.documentElement.toggleAttribute("data-dark", (chosen ?? (dark.matches ? "dark" : "light")) === "dark");
  stage.restyle();
}
$("theme").onclick = () => theme(document.documentElement.hasAttribute("data-dark") ? "light" : "dark");
dark.addEventListener("change", () => theme(localStorage.getItem("theme")));

const net = await connect();
theme(localStorage.getItem("theme"));
route();
requestAnimationFrame(frame);
Object.assign(window, { bombertab: { world, net, input, stage, hud } });  // for the curious, and for the tests

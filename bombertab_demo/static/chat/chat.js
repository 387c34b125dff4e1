// The chat's page: one websocket, one room at a time, the room's name in the address behind "#".
// Nothing that came over the wire is ever parsed as HTML: it goes into text nodes only.

const $ = (id) => document.getElementById(id);
const PING_EVERY = 5000, PING_LOST = 10000, OPEN_WITHIN = 8000; // ms
const BACKOFF_FIRST = 500, BACKOFF_LAST = 15000; // ms
const TYPING_EVERY = 2000, TYPING_FADES = 5000; // ms
const SHOWN = 500; // messages kept on the page
const GROUP_WITHIN = 5 * 60 * 1000; // ms between messages of one person that stand under one head

// ---- Who we are: kept per tab, so that two tabs are two people and a reload stays the same one.

const random = () => Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join("");
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const stored = (name, make) => {
  let value = sessionStorage.getItem(name);
  if (value === null) sessionStorage.setItem(name, (value = make()));
  return value;
};
const me = {
  key: stored("key", random), // tells the server which messages are ours
  tab: random(), // this load of the page: a new connection replaces the old one
  name: stored("name", () => pick(["Amber", "Brisk", "Calm", "Dapper", "Eager", "Fuzzy", "Gentle", "Jolly", "Lucky", "Mellow", "Nimble", "Quiet", "Sunny", "Witty"])
    + " " + pick(["Badger", "Crane", "Dormouse", "Falcon", "Gecko", "Heron", "Ibex", "Lynx", "Marten", "Newt", "Otter", "Puffin", "Raven", "Tapir"])),
  hue: Number(stored("hue", () => String(Math.floor(Math.random() * 360)))),
};

const roomOfAddress = () => {
  let name = location.hash.slice(1);
  try { name = decodeURIComponent(name); } catch { /* a lone % stays as it is */ }
  return name.replace(/\s+/g, " ").trim().slice(0, 40) || "lobby";
};

// ---- State.

let room = roomOfAddress();
let members = new Map(); // id -> {id, name, hue}
let myId = null;
let joined = false;
let latest = 0; // the newest message's id on the page
let run = ""; // which run of the server it is the id of
let last = null; // {key, at}: whose message is at the bottom
const pending = new Map(); // ref -> {text, node}: ours, not yet confirmed
const typists = new Map(); // id -> time-out
let unread = 0, missed = 0;

// ---- Small DOM helpers.

const element = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
const paint = (node, hue) => { node.dataset.hue = ""; node.style.setProperty("--hue", Number(hue) || 0); };
const initial = (name) => (name.match(/[\p{L}\p{N}]|\p{Extended_Pictographic}/u) ?? [[...name][0] ?? "?"])[0].toUpperCase();
const face = (node, who) => { paint(node, who.hue); node.textContent = initial(who.name); return node; };
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const when = (at) => {
  const date = new Date(at);
  return (date.toDateString() === new Date().toDateString() ? "" : day.format(date) + ", ") + clock.format(date);
};

// Addresses become links; everything else stays text.
const fill = (node, text) => {
  let from = 0;
  for (const found of text.matchAll(/https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]}']/gi)) {
    node.append(text.slice(from, found.index));
    const link = element("a", "", found[0]);
    link.href = found[0];
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    node.append(link);
    from = found.index + found[0].length;
  }
  node.append(text.slice(from));
};

// ---- Messages on the page.

const scroller = $("scroll"), log = $("log");
let following = true; // the bottom is in view
scroller.addEventListener("scroll", () => {
  following = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
  if (following) { missed = 0; $("newer").hidden = true; }
}, { passive: true });
const toBottom = () => { scroller.scrollTop = scroller.scrollHeight; };
$("newer").addEventListener("click", () => { toBottom(); $("words").focus(); });
new ResizeObserver(() => { if (following) toBottom(); }).observe(scroller);

const added = (own) => {
  $("empty").hidden = log.childElementCount > 0;
  while (log.childElementCount > SHOWN) log.firstElementChild.remove();
  if (following || own) toBottom();
};

const show = (who, text, at, own, fresh) => {
  const key = own ? "own" : who.id + who.name;
  const node = element("div", "message");
  if (own) node.classList.add("own");
  if (last && last.key === key && at - last.at < GROUP_WITHIN) node.classList.add("more");
  if (fresh) node.classList.add("fresh");
  if (/^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\u200d|\ufe0f){1,12}$/u.test(text)) node.classList.add("big");
  paint(node, who.hue);
  const picture = face(element("i", "face"), who);
  picture.setAttribute("aria-hidden", "true");
  const head = element("div", "head");
  const time = element("time", "", when(at));
  time.dateTime = new Date(at).toISOString();
  head.append(element("span", own ? "hidden" : "who", own ? "You" : who.name), time);
  const words = element("div", "text");
  words.dir = "auto";
  fill(words, text);
  node.title = when(at);
  node.append(picture, head, words);
  log.append(node);
  last = { key, at };
  return node;
};

const notice = (text) => {
  const bottom = log.lastElementChild;
  if (bottom?.classList.contains("notice") && bottom.textContent.length < 200) bottom.textContent += " · " + text;
  else log.append(element("p", "notice", text));
  last = null;
  added(false);
};

const said = (message, fresh = true) => {
  if (message.id <= latest) return;
  latest = message.id;
  const waiting = message.ref && pending.get(message.ref);
  if (waiting) {
    pending.delete(message.ref);
    waiting.node.classList.remove("pending");
    return;
  }
  show(message.who, message.text, message.at, Boolean(message.ref), fresh);
  added(false);
  if (!fresh) return;
  if (!following) {
    missed += 1;
    $("newer").textContent = missed === 1 ? "1 new message" : missed + " new messages";
    $("newer").hidden = false;
  }
  if (document.hidden) { unread += 1; title(); }
};

const title = () => {
  document.title = (unread ? `(${unread}) ` : "") + "#" + room + " · geuwsgi chat";
  $("title").textContent = "# " + room;
  $("words").placeholder = "Say something in #" + room;
};
document.addEventListener("visibilitychange", () => { if (!document.hidden) { unread = 0; title(); } });

const clear = () => {
  log.replaceChildren();
  last = null; latest = 0; missed = 0; following = true;
  $("newer").hidden = true;
};

// ---- People.

const people = () => {
  const rows = [...members.values()].sort((a, b) => (b.id === myId) - (a.id === myId) || a.name.localeCompare(b.name));
  $("people").replaceChildren(...rows.map((who) => {
    const row = element("li");
    const picture = face(element("i", "face"), who);
    picture.setAttribute("aria-hidden", "true");
    row.append(picture, element("span", "who", who.name));
    if (who.id === myId) row.append(element("span", "note", "you"));
    else if (typists.has(who.id)) row.append(element("span", "note", "typing"));
    return row;
  }));
  $("count").textContent = $("count-top").textContent = String(members.size);
  const mine = members.get(myId) ?? me;
  face($("self-face"), mine);
  $("self-name").textContent = mine.name;
  const names = [...typists.keys()].map((id) => members.get(id)?.name).filter(Boolean);
  $("typing").textContent = names.length === 0 ? "" : names.length === 1 ? names[0] + " is typing" : names.length === 2
    ? names.join(" and ") + " are typing" : names.length + " people are typing";
};

const typing = (id, on) => {
  clearTimeout(typists.get(id));
  if (on && members.has(id)) typists.set(id, setTimeout(() => { typists.delete(id); people(); }, TYPING_FADES));
  else typists.delete(id);
  people();
};

// ---- What the server says.

const handlers = {
  welcome(message) {
    joined = true;
    backoff = BACKOFF_FIRST;
    myId = message.you.id;
    members = new Map(message.members.map((who) => [who.id, who]));
    // After a lost connection the page keeps what it shows, and adds what it missed.
    if (message.run !== run) latest = 0;
    run = message.run;
    for (const old of message.history) said(old, false);
    for (const [ref, { text }] of pending) send({ t: "say", text, ref }); // never confirmed: the server drops what it has already
    added(false);
    state("open", "Connected");
    people();
    ping();
  },
  joined({ who }) { members.set(who.id, who); people(); notice(who.name + " came in"); },
  left({ who }) { members.delete(who.id); typing(who.id, false); notice(who.name + " left"); },
  changed({ who, before }) {
    members.set(who.id, who);
    people();
    if (before !== who.name) notice(`${before} is now ${who.name}`);
  },
  said(message) { typing(message.who.id, false); said(message); },
  typing({ id, on }) { typing(id, on); },
  pong({ n }) {
    if (n !== pingNumber) return;
    pingSent = 0;
    const ms = performance.now() - pingAt;
    state("open", ms < 9.95 ? ms.toFixed(1) + " ms" : Math.round(ms) + " ms");
    trace(ms);
  },
  error({ text, ref }) {
    const waiting = pending.get(ref);
    if (!waiting) return notice(text);
    pending.delete(ref);
    const { node } = waiting;
    node.classList.remove("pending");
    const again = element("button", "", "Try again");
    again.type = "button";
    again.addEventListener("click", () => { node.remove(); last = null; submit(waiting.text); });
    const line = element("p", "failed", "Not sent. " + text + " ");
    line.append(again);
    node.append(line);
    added(true);
  },
  bye({ text }) { farewell = text; },
};

// ---- The connection.

let socket = null, backoff = BACKOFF_FIRST, retryTimer = 0, countdown = 0, farewell = "";
let pingNumber = 0, pingSent = 0, pingAt = 0;

const state = (name, text) => {
  $("state").dataset.state = name;
  $("state-text").textContent = text;
};

const send = (message) => {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
};

const connect = () => {
  clearTimeout(retryTimer);
  clearInterval(countdown);
  drop();
  state("connecting", "Connecting");
  const url = new URL("chat", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = url.search = "";
  const mine = (socket = new WebSocket(url));
  const opening = setTimeout(() => lost(mine), OPEN_WITHIN);
  mine.onopen = () => { clearTimeout(opening); join(); };
  mine.onmessage = ({ data }) => {
    if (mine !== socket || typeof data !== "string") return;
    let message;
    try { message = JSON.parse(data); } catch { return; }
    if (Object.hasOwn(handlers, message?.t)) handlers[message.t](message);
  };
  mine.onclose = () => { clearTimeout(opening); lost(mine); };
};

// Forget the socket at once; the browser may take minutes to say that a dead one is closed.
const drop = () => {
  const old = socket;
  socket = null;
  joined = false;
  pingSent = 0;
  old?.close();
};

const lost = (which) => {
  if (which !== socket) return;
  const why = farewell;
  farewell = "";
  drop();
  for (const id of [...typists.keys()]) typing(id, false);
  const wait = backoff * (0.75 + Math.random() / 2);
  backoff = Math.min(backoff * 2, BACKOFF_LAST);
  const until = performance.now() + wait;
  const tell = () => {
    const seconds = Math.ceil((until - performance.now()) / 1000);
    $("banner-text").textContent = (why ? `The server closed the connection: ${why}. ` : "The connection is lost. ")
      + (seconds > 0 ? `Next try in ${seconds} s.` : "Trying again.");
  };
  tell();
  state("waiting", "Offline");
  $("banner").hidden = wait < 1000; // a hiccup that mends itself needs no banner
  countdown = setInterval(tell, 500);
  retryTimer = setTimeout(connect, wait);
};

const join = () => {
  $("banner").hidden = true;
  send({ t: "join", room, name: me.name, hue: me.hue, key: me.key, tab: me.tab });
};

$("retry").addEventListener("click", connect);
addEventListener("online", () => { if (!joined) connect(); });
addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
addEventListener("pagehide", drop);

const ping = () => {
  if (!joined) return;
  const now = performance.now();
  if (pingSent) {
    if (now - pingSent > PING_LOST) lost(socket);
    return;
  }
  pingNumber += 1;
  pingSent = pingAt = now;
  send({ t: "ping", n: pingNumber });
};
setInterval(ping, PING_EVERY);

const times = [];
const trace = (ms) => {
  times.push(ms);
  if (times.length > 24) times.shift();
  const top = Math.max(5, ...times);
  const first = 24 - times.length; // the newest stands at the right edge
  $("trace").firstElementChild.setAttribute("points", times.map((t, i) => `${(100 * (first + i)) / 23},${22 - (20 * t) / top}`).join(" "));
};

// ---- Saying something.

const words = $("words");
let typingSent = 0;

const say = (ref, text) => {
  const node = show(members.get(myId) ?? me, text, Date.now(), true, true);
  node.classList.add("pending");
  pending.set(ref, { text, node });
  if (joined) send({ t: "say", text, ref });
  added(true);
};
const submit = (text) => say(random(), text);

// As high as its text. Measured without the placeholder, which counts as text when the field is empty.
const fit = () => {
  words.style.height = "auto";
  if (words.value) words.style.height = words.scrollHeight + 2 + "px";
};
addEventListener("resize", fit);
words.addEventListener("input", () => {
  fit();
  const now = Date.now();
  if (!joined) return;
  if (!words.value.trim()) { if (typingSent) send({ t: "typing", on: false }); typingSent = 0; }
  else if (now - typingSent > TYPING_EVERY) { typingSent = now; send({ t: "typing", on: true }); }
});
words.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("composer").requestSubmit(); }
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = words.value.trim();
  if (text) submit(text);
  words.value = "";
  typingSent = 0;
  fit();
  words.focus();
});
$("skip").addEventListener("click", (event) => { event.preventDefault(); words.focus(); });

// ---- Rooms.

const links = () => { for (const id of ["second", "second-empty"]) $(id).href = location.pathname + "#" + encodeURIComponent(room); };
const enter = () => {
  const next = roomOfAddress();
  if (next === room) return;
  room = next;
  pending.clear();
  members.clear();
  for (const id of [...typists.keys()]) typing(id, false);
  clear();
  title(); links(); people(); drawer(false);
  joined = false;
  if (socket?.readyState === WebSocket.OPEN) join(); else connect();
  words.focus();
};
addEventListener("hashchange", enter);
$("go").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("room").value.trim();
  if (!name) return $("room").focus();
  $("room").value = "";
  location.hash = encodeURIComponent(name);
  drawer(false);
});
$("copy").addEventListener("click", async () => {
  const url = new URL("#" + encodeURIComponent(room), location.href).href;
  let done = "Copied";
  try { await navigator.clipboard.writeText(url); } catch { done = url; } // no clipboard on a page without TLS: show it instead
  $("copy").textContent = done;
  setTimeout(() => { $("copy").textContent = "Copy link"; }, done === url ? 15000 : 2000);
});

// ---- The side on narrow screens.

const drawer = (open) => {
  $("side").classList.toggle("open", open);
  $("toggle").setAttribute("aria-expanded", String(open));
};
$("toggle").addEventListener("click", () => drawer($("toggle").getAttribute("aria-expanded") !== "true"));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && $("side").classList.contains("open")) { drawer(false); $("toggle").focus(); }
});

// ---- Name and colour.

const profile = $("profile");
const preview = () => { const who = { name: $("name").value || "?", hue: $("hue").value }; face($("preview-face"), who); paint($("hue"), who.hue); };
$("self").addEventListener("click", () => {
  $("name").value = me.name;
  $("hue").value = me.hue;
  preview();
  profile.showModal();
  $("name").select();
});
$("name").addEventListener("input", () => { $("name").setCustomValidity(""); preview(); });
$("hue").addEventListener("input", preview);
$("cancel").addEventListener("click", () => profile.close());
profile.addEventListener("click", (event) => { if (event.target === profile) profile.close(); });
profile.addEventListener("close", () => words.focus());
$("profile-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.replace(/\s+/g, " ").trim();
  if (!name) { $("name").setCustomValidity("A name has at least one letter."); return $("name").reportValidity(); }
  me.name = name;
  me.hue = Number($("hue").value);
  sessionStorage.setItem("name", me.name);
  sessionStorage.setItem("hue", String(me.hue));
  if (joined) send({ t: "me", name: me.name, hue: me.hue });
  people();
  profile.close();
});

title(); links(); people(); fit();
$("empty").hidden = false;
connect();

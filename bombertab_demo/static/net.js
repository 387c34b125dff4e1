// The connection: one websocket, found again when it is lost, with figures for the overlay and ?lag=150 for trying out bad networks.

const COMMANDS = 1, MOVES = 2;
const DEAD = 4000;  // ms without an answer, after which a connection is taken for dead: the browser may need minutes to find out
const half = Math.min(2000, Number(new URLSearchParams(location.search).get("lag")) || 0) / 2;

export class Net {
  constructor(handlers, path = "game") {
    this.handlers = handlers;  // open, close(event), message(object), moves(clock, records)
    const url = new URL(path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = url.hash = "";
    this.url = url.href;
    this.ping = null;
    this.in = { messages: 0, bytes: 0 };
    this.out = { messages: 0, bytes: 0 };
    this.tries = 0;
    this.ended = false;
    this.pings = new Map();
    this.pingNumber = 0;
    this.connect();
    this.timer = setInterval(() => this.check(), 1000);
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.retry(); });
    // A browser may keep a page that was left, connection and all, for the way back.
    addEventListener("pagehide", () => { clearTimeout(this.again); this.left = true; this.socket.close(); });
    addEventListener("pageshow", (event) => { this.left = false; if (event.persisted) this.retry(true); });
  }

  get open() { return this.socket?.readyState === WebSocket.OPEN; }

  connect() {
    const socket = this.socket = new WebSocket(this.url);
    this.heard = performance.now();
    socket.binaryType = "arraybuffer";
    const late = (handle) => (event) => {
      if (half) setTimeout(() => this.socket === socket && handle(event), half);
      else if (this.socket === socket) handle(event);
    };
    socket.onopen = late(() => {
      this.tries = 0;
      this.pings.clear();
      this.handlers.open();
      this.sendPing();
    });
    socket.onmessage = late((event) => this.receive(event.data));
    socket.onclose = late((event) => {
      this.ping = null;
      this.handlers.close(event);
      if (!this.ended && !this.left) this.again = setTimeout(() => this.connect(), Math.min(4000, 250 * 2 ** this.tries++) * (0.75 + Math.random() / 2));
    });
  }

  retry(anyway = false) {  // at once, when there is a reason to believe that it works now
    if (this.ended || this.left || (!anyway && this.socket.readyState < WebSocket.CLOSING)) return;
    clearTimeout(this.again);
    this.connect();
  }

  // Once a second. Two looks in a row: a page that has just been woken up first gets what has come meanwhile.
  check() {
    const silent = this.socket.readyState < WebSocket.CLOSING && performance.now() - this.heard > DEAD && (this.pings.size || !this.open);
    if (silent && this.doubtful) {
      const dead = this.socket;
      this.socket = null;  // none of its events is heard any more
      dead.close();
      this.ping = null;
      this.handlers.close({ code: 1006, reason: "" });
      this.connect();
    } else this.sendPing();
    this.doubtful = silent && !this.doubtful;
  }

  end() {
    this.ended = true;
    clearTimeout(this.again);
    clearInterval(this.timer);
    this.socket.close();
  }

  receive(data) {
    this.heard = performance.now();
    this.in.messages++;
    if (typeof data === "string") {
      this.in.bytes += data.length;
      const message = JSON.parse(data);
      if (message.t === "pong") {
        const sent = this.pings.get(message.n);
        this.pings.delete(message.n);
        if (sent !== undefined) this.ping = Math.round(performance.now() - sent);
      }
      this.handlers.message(message);
      return;
    }
    this.in.bytes += data.byteLength;
    const view = new DataView(data);
    if (view.getUint8(0) !== MOVES) return;
    const records = [];
    for (let at = 5; at + 8 <= data.byteLength; at += 8) {
      const flags = view.getUint8(at + 5);
      records.push({
        slot: view.getUint8(at), x: view.getUint16(at + 1), y: view.getUint16(at + 3), acknowledged: view.getUint16(at + 6),
        facing: flags & 7, alive: Boolean(flags & 8), speed: flags >> 4,
      });
    }
    this.handlers.moves(view.getUint32(1), records);
  }

  transmit(data, size) {
    if (!this.open || this.socket.bufferedAmount > 20000) return;
    this.out.messages++;
    this.out.bytes += size;
    const socket = this.socket;
    if (half) setTimeout(() => { if (socket.readyState === WebSocket.OPEN) socket.send(data); }, half);
    else socket.send(data);
  }

  send(message) {
    const text = JSON.stringify(message);
    this.transmit(text, text.length);
  }

  command(number, command) {
    this.transmit(new Uint8Array([COMMANDS, number >> 8, number & 255, command]), 4);
  }

  sendPing() {
    if (!this.open) return;
    if (this.pings.size > 10) this.pings.clear();
    this.pings.set(++this.pingNumber, performance.now());
    this.send({ t: "ping", n: this.pingNumber });
  }
}

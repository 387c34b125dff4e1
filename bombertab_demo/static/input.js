// Keyboard and touch: which directions are held, the newest first, and whether a bomb was asked for.

const KEYS = { ArrowUp: 1, KeyW: 1, ArrowRight: 2, KeyD: 2, ArrowDown: 3, KeyS: 3, ArrowLeft: 4, KeyA: 4 };
const BOMB_KEYS = new Set(["Space", "KeyX", "ShiftRight"]);
const DEAD_ZONE = 12;  // CSS pixels

export class Input {
  constructor() {
    this.keys = [];
    this.stick = 0;
    this.bomb = false;
    addEventListener("keydown", (event) => this.down(event));
    addEventListener("keyup", (event) => this.up(event));
    addEventListener("blur", () => this.release());
  }

  get held() {
    const directions = this.keys.map((code) => KEYS[code]);
    return this.stick ? [this.stick, ...directions] : directions;
  }

  takeBomb() {
    const asked = this.bomb;
    this.bomb = false;
    return asked;
  }

  release() {
    this.keys = [];
    this.stick = 0;
    this.bomb = false;
  }

  down(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches?.("input, select, textarea, dialog *")) return;
    if (KEYS[event.code]) {
      event.preventDefault();
      if (!event.repeat) this.keys = [event.code, ...this.keys.filter((code) => code !== event.code)];
    } else if (BOMB_KEYS.has(event.code) && !event.target.matches?.("button, a")) {
      event.preventDefault();
      if (!event.repeat) this.bomb = true;
    }
  }

  up(event) {
    this.keys = this.keys.filter((code) => code !== event.code);
  }

  // The stick follows the thumb: where it comes down is its middle, and it is pulled along when the thumb goes far.
  touch(pad, knob, button) {
    let id = null, x = 0, y = 0;
    const move = (event) => {
      if (event.pointerId !== id) return;
      let dx = event.clientX - x, dy = event.clientY - y;
      const length = Math.hypot(dx, dy), reach = pad.clientWidth / 3;
      if (length > reach) {
        x += dx * (1 - reach / length); y += dy * (1 - reach / length);
        dx *= reach / length; dy *= reach / length;
      }
      knob.style.transform = `translate(${dx}px, ${dy}px)`;
      if (length > DEAD_ZONE) this.stick = Math.abs(dx) > Math.abs(dy) ? (dx > 0 ? 2 : 4) : dy > 0 ? 3 : 1;
    };
    pad.addEventListener("pointerdown", (event) => {
      id = event.pointerId;
      pad.setPointerCapture(id);
      const box = pad.getBoundingClientRect();
      x = box.x + box.width / 2; y = box.y + box.height / 2;
      event.preventDefault();
      move(event);
    });
    pad.addEventListener("pointermove", move);
    const end = (event) => {
      if (event.pointerId !== id) return;
      id = null;
      this.stick = 0;
      knob.style.transform = "";
    };
    pad.addEventListener("pointerup", end);
    pad.addEventListener("pointercancel", end);
    button.addEventListener("pointerdown", (event) => { event.preventDefault(); this.bomb = true; button.classList.add("down"); });
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) button.addEventListener(name, () => button.classList.remove("down"));
    for (const element of [pad, button]) element.addEventListener("contextmenu", (event) => event.preventDefault());
  }
}

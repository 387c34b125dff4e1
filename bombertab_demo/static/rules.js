// The part of the rules that the page carries out itself, ahead of the server: walking. See game/units.py and game/motion.py;
// a test compares the two step by step.

export const UNIT = 240, HALF = UNIT / 2;  // length units of a tile's side
export const FUSE = 75, FLAME = 15;  // ticks
export const FLOOR = 0, WALL = 1, CRATE = 2;
export const BOMB = 8;  // the bit of a command that places a bomb
export const VECTORS = [[0, 0], [0, -1], [1, 0], [0, 1], [-1, 0]];  // stay, up, right, down, left

export const stride = (speed) => 32 + 4 * speed;
export const tile = (coordinate) => Math.floor(coordinate / UNIT);
export const centre = (number) => number * UNIT + HALF;

// One step: [x, y] after it. At most one coordinate is off the middle of its tile.
export function walk(x, y, direction, length, free) {
  const [dx, dy] = VECTORS[direction];
  if (dx) return along(x, y, dx, length, free);
  if (dy) {
    const [newY, newX] = along(y, x, dy, length, (row, column) => free(column, row));
    return [newX, newY];
  }
  return [x, y];
}

function along(x, y, dx, length, free) {
  const column = tile(x), row = tile(y), beside = y - centre(row);
  if (free(column + dx, row)) {
    const slide = Math.min(Math.abs(beside), length);
    return [x + dx * (length - slide), beside > 0 ? y - slide : y + slide];
  }
  const short = (centre(column) - x) * dx;
  if (short > 0) return [x + dx * Math.min(length, short), y];
  if (beside) {
    const side = beside > 0 ? 1 : -1;
    if (free(column, row + side) && free(column + dx, row + side))
      return [x, y + side * Math.min(length, UNIT - Math.abs(beside))];
  }
  return [x, y];
}

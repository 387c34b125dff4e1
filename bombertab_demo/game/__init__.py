"""The rules of the game: pure Python without a server, a clock or a socket. One call of `Match.step` is one tick."""

"""What the tests share: real processes (server, uWSGI, Redis, Chromium), waiting, and looking for leaks."""

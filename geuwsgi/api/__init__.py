"""The fake `uwsgi` module, one file per uWSGI subsystem, holding no logic of its own."""

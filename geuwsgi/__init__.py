"""geuwsgi: a drop-in emulator of the uWSGI server, in Python on gevent."""

__version__ = "0.1.0"

#: The uWSGI release whose behaviour is emulated; what `uwsgi.version` says.
EMULATED_UWSGI = "2.0.31"

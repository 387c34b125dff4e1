"""Moves bytes between gevent sockets and `protocol/`: listeners, requests, responses, websockets."""

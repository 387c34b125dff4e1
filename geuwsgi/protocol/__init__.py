"""Turns bytes into events and events into bytes. Does no I/O."""

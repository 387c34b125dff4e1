"""Starts, watches and stops: the only layer besides `cli` that reads the configuration."""

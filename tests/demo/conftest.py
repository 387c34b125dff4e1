"""Fixtures of the demo's tests."""

from tests.demo.page import open_page

__all__ = ["open_page"]

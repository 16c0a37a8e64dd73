"""Fixtures of the tests in a browser."""

from npm_modules import modules, web

__all__ = ["modules", "web"]

"""Errors that more than one part of the application must know."""

from __future__ import annotations


class StoreUnavailable(Exception):
    """Redis did not do what it was asked: it can't be reached, or does not answer. Try again later."""

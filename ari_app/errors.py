"""Errors that more than one part of the application must know."""

from __future__ import annotations


class StoreUnavailable(Exception):
    """Redis did not do what it was asked: it can't be reached, or does not answer. Try again later."""


class LeaseLost(StoreUnavailable):
    """Another copy of the service holds the account: nothing was written, and nothing more is to be done."""

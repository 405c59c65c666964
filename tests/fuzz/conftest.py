"""What the tests with altered input share."""

from tests.cabinet.conftest import redis

__all__ = ["redis"]

"""The secret key, and older ones that still open what they closed."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """The key with which everything is closed, and the `older` ones, which only open."""

    current: str
    older: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: Self | str) -> KeyRing:
        """Give the ring with one key, or the ring itself."""
        return cls(key) if isinstance(key, str) else key

    @property
    def all(self) -> tuple[str, ...]:
        """The keys, the present one first."""
        return (self.current, *(key for key in self.older if key != self.current))

    def key_for(self, purpose: str) -> bytes:
        """Derive a key from the present one, another for each purpose."""
        return _derived(self.current, purpose)

    def keys_for(self, purpose: str) -> tuple[bytes, ...]:
        """Give the same of each key, for what was signed before the keys were changed."""
        return tuple(_derived(key, purpose) for key in self.all)

    def is_signed(self, purpose: str, text: bytes, signature: bytes) -> bool:
        """Tell whether one of the keys has signed a text (HMAC-SHA256)."""
        signed = (hmac.digest(key, text, "sha256") for key in self.keys_for(purpose))
        return any(hmac.compare_digest(one, signature) for one in signed)


def _derived(key: str, purpose: str) -> bytes:
    return hmac.digest(key.encode(), purpose.encode(), "sha256")

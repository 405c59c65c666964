"""The CRM's shops (sites), as it lists them."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from ari_app.retailcrm.messages import LONGEST_NAME, Received, Text

MOST = 500
"""Shops of a CRM that are read."""


@dataclass(frozen=True, slots=True)
class Site:
    """A shop; `code` is how the API names it."""

    code: str
    name: str


def _list(value: object) -> object:
    """Read an object whose names are the codes; PHP writes an empty one as []."""
    sites = list(value.values()) if isinstance(value, dict) else value or []
    return sites[:MOST] if isinstance(sites, list) else sites


class _Site(Received):
    code: Text = None
    name: Text = None


class SitesBody(Received):
    """Answer of GET reference/sites."""

    sites: Annotated[list[_Site], BeforeValidator(_list)]

    def read(self) -> tuple[Site, ...]:
        """In our words."""
        named = (site for site in self.sites if site.code and len(site.code) <= LONGEST_NAME)
        return tuple(Site(str(site.code), (site.name or str(site.code))[:LONGEST_NAME]) for site in named)

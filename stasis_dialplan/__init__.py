"""What goes onto the PBX: dialplan and configuration, rendered for one shop.

``render(kind, settings)`` gives the files; `Settings.of` reads what they need off an account.
"""

from stasis_dialplan.rendering import KINDS, Kind, render
from stasis_dialplan.settings import CannotRender, Settings

__all__ = ["KINDS", "CannotRender", "Kind", "Settings", "render"]

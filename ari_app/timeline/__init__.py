"""How a call is told to people."""

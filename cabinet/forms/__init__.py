"""Settings typed into forms, and filters typed into addresses."""

"""What the demo plays, and whether it went as it should."""

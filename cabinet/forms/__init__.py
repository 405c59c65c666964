"""What is typed into forms: settings, rows of a list, the door; and filters typed into addresses."""

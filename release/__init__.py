"""What a release is made with; nothing of it is in the wheel."""

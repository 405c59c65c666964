"""The calls of one line, while they go on."""

"""The benchmark (`make bench`): the same calls through plain `Dial()` and through us, on one Asterisk."""

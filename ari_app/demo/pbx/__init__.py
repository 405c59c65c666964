"""A real Asterisk, with customers and phones played by SIPp."""

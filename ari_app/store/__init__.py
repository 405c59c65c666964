"""Everything kept in Redis; nothing else imports redis."""

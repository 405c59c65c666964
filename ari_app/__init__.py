"""The telephone side of retailCRM for shops that run Asterisk."""

"""What the demo and the tests need beside the application: a real Asterisk, SIPp, a simulated CRM."""

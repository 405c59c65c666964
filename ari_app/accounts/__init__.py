"""An account: what a shop sets up, its staff, and what its CRM says of telephony."""

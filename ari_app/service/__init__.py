"""All accounts at work, and what their CRMs are told of us."""

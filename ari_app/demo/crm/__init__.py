"""The simulated retailCRM."""

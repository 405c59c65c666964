"""What retailCRM tells us: clicks, statuses, our module, the marketplace."""

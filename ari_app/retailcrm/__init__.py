"""Everything that speaks to retailCRM: its API, its pace, and the delivery of what calls tell."""

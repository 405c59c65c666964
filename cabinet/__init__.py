"""The web application: what people and retailCRM reach by HTTP."""

"""What every page stands in: who reads it, what keeps strangers out, how it is drawn."""

"""The proof (`make soak`): real calls, faults at random, and what we said of them against what the phones saw."""

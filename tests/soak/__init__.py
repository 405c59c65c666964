"""The proof (`make soak`): real calls, faults at random, what we said of them against what telephones saw."""

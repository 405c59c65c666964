"""Addresses in the network: which may be connected to, and from which of ours a PBX sees us."""

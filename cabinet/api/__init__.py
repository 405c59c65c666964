"""The module's HTTP API: PBXs that keep a dialplan of their own ask who calls, and report calls; a shop's own
programs read the call log; programs that look after this service ask how it is.
"""

"""Everything that speaks to one PBX: its event stream, its REST interface, its recordings."""

"""What goes onto the PBX: dialplan and configuration templates."""

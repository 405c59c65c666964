"""What a PBX, a CRM and visitors may say, altered at random (`make fuzz`): nothing fails or takes long."""

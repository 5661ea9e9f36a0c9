"""The only writer to a volume."""

"""Studies and their facts, append-only."""

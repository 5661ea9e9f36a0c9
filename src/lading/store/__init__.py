"""Studies and their facts, append-only: SQLite in WAL mode on a local disk."""

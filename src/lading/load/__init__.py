"""Load clients: the offered load, stamped in the client."""

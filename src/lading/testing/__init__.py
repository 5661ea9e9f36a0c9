"""Shipped test kits: a contract suite per seam, a truth server, a tiny model, fault injection."""

"""Pure: typed builders of the objects that run a server elsewhere."""

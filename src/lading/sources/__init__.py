"""Places weights come from. They do not know each other."""

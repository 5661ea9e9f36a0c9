"""Places servers run. They do not know each other."""

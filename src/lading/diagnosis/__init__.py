"""Evidence → findings: what is wrong, what shows it, and the command that mends it. Pure."""

"""What this host has: CPUs, memory, GPUs, and who else uses them."""

"""The one mover of bytes."""

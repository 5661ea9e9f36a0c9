"""Lading: model weights from where they are to a tuned, verified, serving endpoint."""

__version__ = "0.1.0"

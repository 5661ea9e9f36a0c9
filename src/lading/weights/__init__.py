"""Pure: what weights are: listing, manifest, transfer plan, layout of a volume, format rules."""

"""Pure: load as data: arrivals, lengths, prompts, records, summaries."""

"""Pure: HTML, CSV and JSON from a fold over history."""

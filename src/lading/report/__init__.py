"""Pure: what people look at: one HTML file, CSV and JSON, from a fold over a study's history."""

"""The verbs: short async functions that take adapters and move values in one direction."""

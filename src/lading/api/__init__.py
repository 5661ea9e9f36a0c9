"""The Python API behind the command line: plain, typed calls, for scripts and notebooks.

Each call runs a flow of `lading.flows` on a loop of its own (`portal`), so that it works where a loop already runs.
The names are reached through `lading` itself, which imports them on first use.
"""

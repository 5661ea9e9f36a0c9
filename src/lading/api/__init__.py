"""The Python API behind the command line: plain, typed calls."""

"""The command line: parse, call a flow, render its events. Data on stdout, talk on stderr."""

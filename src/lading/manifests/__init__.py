"""Pure: what runs a tuned server: a shell script, a compose file, objects for KServe and for plain Kubernetes."""

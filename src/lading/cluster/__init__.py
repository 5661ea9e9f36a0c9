"""The only speaker to the Kubernetes API: objects as plain documents, watches, logs, exec and port-forward."""

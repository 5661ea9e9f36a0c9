"""Where a command runs on a cluster: claims, the short-lived pods and Jobs beside them, and what must hold before one starts.

Kubernetes is placement, not a second implementation: the command that runs in a Job is the command that runs here.
"""

"""What commands answer with ``--format json``, where the answer is no document of its own (a manifest, a summary, a result).

Values only, an area each; every one is published by name (`lading schema`). Events are in `lading.events`. Modules are
imported where they are used: `lading ls` waits for none but its own.
"""

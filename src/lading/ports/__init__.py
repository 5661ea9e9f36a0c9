"""The seams: Protocols that adapters implement and flows take, with the values that cross them.

`Source`, `Backend` (and `lading.engines.base.Engine`) are open to third parties through the entry points
``lading.sources``, ``lading.backends`` and ``lading.engines``. The others are internal. Each has a contract suite in
`lading.testing`, which says in tests what the docstrings say here in words.
"""

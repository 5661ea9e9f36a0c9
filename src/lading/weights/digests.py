"""What a store says a file hashes to, and the hashes that are computed beside SHA-256 to compare.

Names and forms of values (hex in lower case unless said):

``md5``, ``sha1``, ``sha256``, ``crc32``, ``crc32c``, ``crc64nvme``
    Of all bytes. CRCs are 8 or 16 hex digits.
``git-sha1``
    As git names a blob: SHA-1 of ``blob SIZE\\0`` and the bytes (the hub's small files).
``etag``
    As S3 gives it, quotes left out: an MD5, or ``MD5-N`` of an upload in N parts (the MD5 of the parts' MD5s). Says nothing where the store encrypts with its own keys.
"""

"""Cyclic redundancy checks of bytes that come in order, at 3 to 40 GB/s.

Libraries are loaded with the first checksum: one of them takes as long to load as all of a short command.
"""


def crc64nvme(data: memoryview, before: int = 0) -> int:
    """CRC-64/NVME of *data* that follows bytes whose CRC was *before*."""
    from awscrt import checksums

    value: int = checksums.crc64nvme(data, before)
    return value


def crc32c(data: memoryview, before: int = 0) -> int:
    """CRC-32C of *data* that follows bytes whose CRC was *before*."""
    from awscrt import checksums

    value: int = checksums.crc32c(data, before)
    return value


def crc32(data: memoryview, before: int = 0) -> int:
    """CRC-32 of *data* that follows bytes whose CRC was *before*; 20 times as fast as zlib's."""
    from isal import isal_zlib

    value: int = isal_zlib.crc32(data, before)
    return value


def joined_crc64nvme(first: int, second: int, second_bytes: int) -> int:
    """CRC-64/NVME of bytes with the CRC *first*, and *second_bytes* with the CRC *second* behind them."""
    from awscrt import checksums

    value: int = checksums.combine_crc64nvme(first, second, second_bytes)
    return value

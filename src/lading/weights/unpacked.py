"""What is taken of an archive that is unpacked while it comes: its files are known only then.

Patterns hold for them like for any. One set of weights out of several cannot be chosen: that takes all names at once.
"""

import hashlib
from dataclasses import replace

from lading.errors import InvalidInput
from lading.spec.pull import PLAIN, Choices
from lading.weights.listing import Listing
from lading.weights.selection import ALL


def is_stream(found: Listing) -> bool:
    """Whether the files of *found* are known only while it is read."""
    return any(entry.archive is not None for entry in found.entries)


def chosen(found: Listing, choices: Choices) -> Listing:
    """*found*, of which *choices* are taken: with a revision of its own where that is not all.

    Raises:
        InvalidInput: One set of weights is asked for.
    """
    if choices.prefer not in {PLAIN.prefer, ALL}:
        raise InvalidInput(
            f"--prefer {choices.prefer} cannot choose from {found.ref}: its files are known only while it is unpacked",
            hint="say which files by --include or --exclude",
        )
    if not choices.include and not choices.exclude:
        return found
    text = "\0".join([found.revision, *choices.include, "", *choices.exclude])
    return replace(found, revision=hashlib.sha256(text.encode()).hexdigest()[:40])

"""What `lading images` answers."""

from lading.spec.base import Stored


class ImageListed(Stored):
    """One container image, and what needs it."""

    image: str
    """As it is pulled, with tag or digest."""
    what: str
    """What it is."""
    commands: tuple[str, ...]
    """The commands that use it, or write it into what they print; empty: only who builds our image needs it."""

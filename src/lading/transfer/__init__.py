"""The one mover of bytes: `transfer.run` takes decided entries, a source and a staging, and returns what was written.

Synchronous, and it owns its threads: all have ended when it returns or raises. Threads because every long step
(receive, hash, write) releases the interpreter's lock; one buffer each, used again for every read.
"""

from lading.transfer.crew import Shape
from lading.transfer.engine import run
from lading.transfer.meter import Meter
from lading.transfer.pace import Rate
from lading.transfer.patience import Patience
from lading.transfer.reading import part
from lading.transfer.unpacking import unpack

__all__ = ["Meter", "Patience", "Rate", "Shape", "part", "run", "unpack"]

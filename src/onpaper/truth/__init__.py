"""How true a contract is to recordings: the structure of what it plays against the structure of what was
seen."""

from onpaper.truth.compare import Row, Truth, compare
from onpaper.truth.features import features
from onpaper.truth.parts import Feature
from onpaper.truth.recordings import Recording, of, read_folder

__all__ = ["Feature", "Recording", "Row", "Truth", "compare", "features", "of", "read_folder"]

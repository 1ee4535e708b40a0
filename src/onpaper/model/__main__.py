"""`python -m onpaper.model DIR`: the scripted model in every format, in a Python that has only what that needs."""

import sys
from pathlib import Path

from onpaper.model import make

for path in make(Path(sys.argv[1])):
    print(path)

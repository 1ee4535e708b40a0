"""`python tests/broken`: the kill matrix."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from broken.matrix import main

    sys.exit(main())

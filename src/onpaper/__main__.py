"""`onpaper` and `python -m onpaper`: the command line, which ends without a word when it is interrupted as it begins."""

import signal
import sys


def main() -> None:
    try:
        from onpaper.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()

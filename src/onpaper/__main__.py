"""`python -m onpaper`: the command line."""

from onpaper.cli import main

if __name__ == "__main__":
    main()

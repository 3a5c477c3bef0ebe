"""``python -m secureboost``: the command line."""

from secureboost.cli import main

if __name__ == "__main__":
    main()

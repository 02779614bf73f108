"""`python -m crlscale`; refuses a Python that was not tested before anything else is imported."""

import sys


def main():
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        here = ".".join(map(str, sys.version_info[:2]))
        sys.exit("crlscale needs Python 3.11 to 3.13; this is Python " + here)
    from crlscale.cli.app import main as command_line

    command_line()


if __name__ == "__main__":
    main()

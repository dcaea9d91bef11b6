"""Where the process begins: `quorate ...` and `python -m quorate ...`."""

import sys


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    if sys.argv[1:] == ["--version"]:
        # Asked for by scripts before every run: answered before anything else is loaded.
        from quorate.version import VERSION

        sys.stdout.write(f"quorate {VERSION}\n")
        return
    from quorate.root import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

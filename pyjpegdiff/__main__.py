"""The programs ``pyjpegdiff`` and ``python -m pyjpegdiff``."""

import sys


def main() -> None:
    """Run the command line, or name the missing package."""
    try:
        from pyjpegdiff.cli import command
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "pyjpegdiff":
            raise
        sys.exit(f'pyjpegdiff: {error.name} is not installed; run: pip install "pyjpegdiff[cli]"')
    command(prog_name="pyjpegdiff")


if __name__ == "__main__":
    main()

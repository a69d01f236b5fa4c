"""Tell whether the compiled library is there, and which instruction set it uses."""

import sys

from pyjpegdiff.kernels import library


def main() -> int:
    """Print it; 1 where the environment asks for what there is not."""
    if library.load() is None:
        sys.stdout.write(f"library: {library.PATH.name} is not there or does not load; NumPy computes instead\n")
        return 0
    try:
        library.ready()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"library: {library.PATH}\n")
    sys.stdout.write(f"instruction set: {library.instruction_set()} (of {', '.join(library.instruction_sets())})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Between the commands and the world they run in: paths as arguments, output that fails, Ctrl-C, too little memory."""

import contextlib
import io
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pyjpegdiff.study.files import TOO_LARGE, printable

WRONG, STOPPED = 2, 130
MEGAPIXELS = 89


class Wrong(click.ClickException):
    """The command cannot do anything; the message says why."""

    exit_code = WRONG


class Program(click.Group):
    """Commands that end with a message and an exit status of their own, never with a traceback."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run. Characters that a stream cannot take are escaped; one that takes nothing more ends the program."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal in Latin-1 has no Chinese
        try:
            return super().main(*args, **options)
        except OSError:  # of the last message
            _discard_output()
            sys.exit(WRONG)

    def invoke(self, context: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            sys.exit(STOPPED)
        except MemoryError as error:
            raise Wrong(f"this {TOO_LARGE}") from error
        except OSError as error:  # of the output: what a command does with files, it reports itself
            _discard_output()
            raise Wrong(f"cannot write to the output: {error.strerror or error}") from error


def _discard_output() -> None:
    """Let a stream that fails lead nowhere: at its end, Python would write there again, and fail again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            with contextlib.suppress(OSError):  # a stream that is no file
                os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


class PathArgument(click.Path):
    """A path; not the empty text, which `pathlib.Path` takes for the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, option: click.Parameter | None, context: click.Context | None) -> Any:
        """The path; fails if it is empty."""
        if not os.fspath(value):
            self.fail("a path must not be empty.", option, context)
        return super().convert(value, option, context)


class Finite(click.FloatRange):
    """Finite numbers in a range. `click.FloatRange` accepts ``nan``, because no comparison with it is true."""

    def convert(self, value: Any, option: click.Parameter | None, context: click.Context | None) -> Any:
        """The number; fails unless it is finite."""
        number = super().convert(value, option, context)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", option, context)
        return number


def name_of(path: Path) -> str:
    """The path as printable text."""
    return printable(str(path))


def tell_left_out(files: Iterable[tuple[str, str]]) -> None:
    """Say which files are left out, and why."""
    for name, reason in files:
        click.echo(f"left out: {name}: {reason}", err=True)


def limit_pixels(megapixels: float) -> None:
    """Have Pillow refuse larger images."""
    Image.MAX_IMAGE_PIXELS = max(1, round(min(megapixels * 1e6, sys.maxsize)))


def exists(path: Path) -> bool:
    """Whether there is such a path; `Path.exists` raises where the system has no such name."""
    return os.path.exists(path)  # noqa: PTH110


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """Report errors of the file system, such as a full disk or missing rights, in one line."""
    try:
        yield
    except OSError as error:
        raise Wrong(f"cannot write {name_of(out)}: {error.strerror or error}") from error


@contextlib.contextmanager
def bar(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar; hidden if the output is not a terminal."""
    columns = TextColumn("{task.description:>9}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        tasks: dict[str, Any] = {}

        def progress(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = shown.add_task(phase, total=total)
            shown.update(tasks[phase], completed=done)

        yield progress

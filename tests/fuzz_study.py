"""The command line on generated folders: `make fuzz N=5000`; a failure names its seed, and `SEED=that N=1` repeats it.

A case is a folder of images in every format that Pillow reads, many of them damaged, with names and links of all kinds,
and a list of arguments. Whatever happens, the command ends by itself with a status of its own and without a traceback,
and each file is either in the tables, once per quality, or named as left out. Then rows and plan are damaged, or, in
every 25th case, the command is a process that is killed at random moments: continued, it writes the same tables.
"""

import contextlib
import csv
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
from click.testing import CliRunner
from PIL import Image

from pyjpegdiff.cli import command

T = TypeVar("T")
MODES = ("RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")
MAGIC = {
    "bufr": b"BUFR", "cur": b"\0\0\2\0\1\0", "dcx": b"\xb1\x68\xde\x3a", "emf": b"\1\0\0\0",
    "fits": b"SIMPLE  =                    T", "fli": b"\0\0\0\0\x11\xaf\1\0",
    "fpx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ftc": b"FTEX", "gbr": b"\0\0\0\x1c\0\0\0\2",
    "grib": b"GRIB\0\0\0\1", "h5": b"\x89HDF\r\n\x1a\n",
    "iim": b"\x1c\3\x14\0\2\0\x14", "mpg": b"\0\0\1\xb3", "p7": b"P7 332", "pcd": b"PCD_", "psd": b"8BPS\0\1",
    "pxr": b"\x80\xe8\0\0", "qoi": b"qoif", "ras": b"\x59\xa6\x6a\x95", "wmf": b"\xd7\xcd\xc6\x9a\0\0",
    "xpm": b"/* XPM */\n",
}  # fmt: skip
"""How files of formats begin that Pillow reads and does not write."""
NAMES = ("a", "_DSC0001", "=1+1", "-x", "@b", "日本", "$x_1$", "a b", "<i>&", "'\"", "a\n", "a\\n", "%s", "{}",
         "~", "é" * 120, "x" * 240, "\udcff", "\u202e", "\x1b[31m", "report")  # fmt: skip
Image.init()  # all formats from the start, so that a seed means the same in each process
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
ENDS = {0, 1, 2, 130}


class WrongError(AssertionError):
    """The command did what it must not do."""


def holds(condition: object, *about: object) -> None:
    """Raise unless it does."""
    if not condition:
        raise WrongError(*about)


# --- folders ----------------------------------------------------------------------------------------------------------


def image(dice: random.Random) -> tuple[bytes, str]:
    """A file, and the suffix of its format."""
    if dice.random() < 0.2:
        suffix = dice.choice(list(MAGIC))
        return MAGIC[suffix] + dice.randbytes(dice.choice((0, 20, 300, 3000))), suffix
    height, width = (dice.choice((1, 2, 7, 8, 9, 16, 17, 40)) for _ in range(2))
    if dice.random() < 0.02:
        height, width = dice.choice(((1, 65_501), (65_500, 1)))
    shades = dice.choice((1, 2, 256))
    pixels = np.random.default_rng(dice.getrandbits(32)).integers(0, shades, (height, width, 3), np.uint8)
    while True:
        kind, mode = dice.choice(sorted(set(Image.SAVE) & set(Image.OPEN))), dice.choice(MODES)
        suffixes = [suffix for suffix, found in Image.registered_extensions().items() if found == kind]
        file = io.BytesIO()
        with contextlib.suppress(Exception):  # not every format stores every mode
            source = Image.fromarray(pixels)
            (source.convert("L") if mode[0] in "IF" else source).convert(mode).save(file, kind)
            return file.getvalue(), dice.choice(suffixes or [""])[1:]


def damaged(content: bytes, dice: random.Random) -> bytes:
    """The file after accidents."""
    found = bytearray(content)
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2, 8))):
        place = dice.randrange(len(found) + 1) if dice.random() < 0.5 else dice.randrange(min(64, len(found)) + 1)
        match dice.randrange(5):
            case 0:
                del found[place:]
            case 1:
                found[place : place + 1] = bytes([dice.choice((0, 1, 127, 128, 255, dice.randrange(256)))])
            case 2:
                found[place : place + 4] = dice.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
            case 3:
                found[place:place] = dice.randbytes(dice.randrange(1, 20))
            case _:
                found[place : place + dice.randrange(20)] = b""
    return bytes(found)


def folder_of(dice: random.Random) -> None:
    """Fill ``in``."""
    for _ in range(dice.choice((1, 1, 2, 3, 5))):
        content, suffix = image(dice)
        parent = Path("in", *dice.choices(("sub", "_s", "=s", ".hidden", "日"), k=dice.choice((0, 0, 0, 1, 2))))
        parent.mkdir(parents=True, exist_ok=True)
        suffix = dice.choice((suffix, suffix, suffix.upper(), "png", "jpg"))
        path = parent / f"{dice.choice(NAMES)}.{suffix}"
        with contextlib.suppress(OSError):  # none is there yet, or the name is too long
            path.lstat()
            continue  # not written over: a pipe would wait for a reader
        with contextlib.suppress(OSError):
            match dice.randrange(25):
                case 0:
                    path.symlink_to(dice.choice(("absent", path.name, "..", "../in", "/dev/zero")))
                case 1:
                    os.mkfifo(path)
                case 2:
                    path.mkdir()
                case _:
                    path.write_bytes(damaged(content, dice))


def tables_of(dice: random.Random) -> list[str]:
    """Perhaps an option that names a file of tables."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=dice.randrange(1, 101))
    numbers = [dice.randrange(1, 256) for _ in range(64)]
    rows = [numbers[start : start + 8] for start in range(0, 64, 8)]
    texts = f'{{"luma": {rows}}}', " ".join(map(str, numbers)), "[" * 9999, "9" * 5000, '{"chroma": [[NaN]]}'
    content = dice.choice((file.getvalue(), dice.choice(texts).encode()))
    Path("tables").write_bytes(dice.choice((content, damaged(content, dice))))
    return ["--tables", mostly(dice, ("tables",), ("absent", "in", ""))] if dice.random() < 0.2 else []


def options_of(dice: random.Random) -> list[str]:
    """Options that both commands have."""
    found = tables_of(dice)
    for name, right, wrong in (
        ("--subsampling", ("4:2:0", "4:4:4", "4:2:2", "4:4:0"), ("4:1:1", "")),
        ("--arithmetic", ("libjpeg", "float"), ("none", "")),
        ("--max-megapixels", ("1", "0.5"), ("1e-9", "nan", "-1", "9" * 5000)),
    ):
        found += [name, mostly(dice, right, wrong)]
    return found


def mostly(dice: random.Random, right: Sequence[T], wrong: Sequence[T]) -> T:
    """A right value, seldom a wrong one."""
    return dice.choice(wrong if dice.random() < 0.05 else right)


# --- cases ------------------------------------------------------------------------------------------------------------


def invoke(*arguments: str) -> tuple[int, str]:
    """Run the command in this process; its status and what it says."""
    done = CliRunner().invoke(command, list(arguments))
    holds(done.exception is None or isinstance(done.exception, SystemExit), arguments, done.exc_info)
    holds(done.exit_code in ENDS, arguments, done.exit_code)
    return done.exit_code, done.output


def rows_of(out: Path) -> list[tuple[str, str]]:
    """Image and quality of each row of the table."""
    with (out / "measurements.csv").open(encoding="utf-8", newline="") as file:
        return [(row["image"], row["quality"]) for row in csv.DictReader(file)]


def tables_in(out: Path) -> list[bytes]:
    """The tables as they are."""
    return [(out / name).read_bytes() for name in ("measurements.csv", "frequencies.csv")]


def expected() -> int:
    """How many files are in the table or left out; counted anew, in another way than the study does."""
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    paths = [path for path in Path("in").rglob("*") if not any(part.startswith(".") for part in path.parts[1:])]
    files = [path for path in paths if path.suffix.lower() in suffixes and not os.path.isdir(path)]  # noqa: PTH112
    return len({os.path.realpath(path) for path in files})


def check_tables(out: Path, said: str) -> None:
    """No row is lost, and none is there twice."""
    rows = rows_of(out)
    holds(len(rows) == len(set(rows)), "a row is there twice", rows)
    images, qualities = ({row[place] for row in rows} for place in (0, 1))
    holds(len(rows) == len(images) * len(qualities), "a row is lost", rows)
    left = [line.removeprefix("left out: ") for line in said.splitlines() if line.startswith("left out: ")]
    holds(len(images) + len(left) == expected(), "a file is lost", images, left, expected())
    holds(not any(line.startswith(f"{name}: ") for line in left for name in images), "measured and left out", left)


def code(dice: random.Random) -> str:
    """Compress one file."""
    files = list(map(str, Path("in").rglob("*")))
    out = mostly(dice, ("out.png", "out.jpg"), ("", "no/out.png", "in", "x" * 300 + ".png", f"{'y' * 250}.png"))
    quality = mostly(dice, ("50", "1", "100", "72.5"), ("nan", "1e400", "0", "-3", "", "9" * 5000))
    status, _ = invoke(
        "code", mostly(dice, files, ("absent", "", "in", "x" * 300)), out, "--quality", quality, *options_of(dice)
    )
    holds(
        (status == 0) == os.path.isfile(out),  # noqa: PTH113
        "status and file differ",
        status,
    )
    return f"code {status}"


def study(dice: random.Random) -> str:
    """Study the folder, damage what was saved, and study it again."""
    paths = mostly(dice, (["in"], ["in"], ["./in/", "in"], ["in", "absent"]), (["absent"], [""]))
    big = "9" * 20
    quality = mostly(dice, ("50", "10,90", "1:100:33", "100", f"1:95:{big}"), ("95:5", "0", "x", "", "7.5", "9" * 5000))
    arguments = ["study", *paths, "--jobs", "1", "--quality", quality, *options_of(dice)]
    status, said = invoke(*arguments, "--out", "out")
    if status == 2:
        holds(not Path("out", "report.html").exists(), "failed, and there is a report")
        return "study 2"
    if "absent" not in paths:
        check_tables(Path("out"), said)
    before = tables_in(Path("out"))
    saved = list(Path("out").rglob("*.json"))
    for path in dice.sample(saved, min(2, len(saved))):
        path.write_bytes(damaged(path.read_bytes(), dice))
    again, _ = invoke(*arguments, "--out", "out", "--overwrite")
    holds((again, tables_in(Path("out"))) == (status, before), "damaged and continued, it differs", again)
    return f"study {status}"


def killed(dice: random.Random) -> str:
    """Study the folder in processes that are killed, and compare with a study that was not."""
    for number in range(3):
        pixels = np.random.default_rng(dice.getrandbits(32)).integers(0, 256, (300, 400, 3), np.uint8)
        Image.fromarray(pixels).save(f"in/sound {number}.png")
    arguments = ["study", "in", "--quality", "5:95:10"]
    run = [sys.executable, "-W", "error", "-m", "pyjpegdiff", *arguments, "--out", "out", "--jobs", dice.choice("12")]
    kills = 0
    for attempt in range(4):
        process = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        if attempt < 3:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(dice.uniform(0.2, 4))
            with contextlib.suppress(ProcessLookupError):
                send, sign = dice.choice((os.kill, os.killpg)), dice.choice(SIGNALS)
                send(process.pid, sign)
        said = b"".join(process.communicate(timeout=300)).decode()
        # Before the program begins, Python itself answers Ctrl-C, with a traceback.
        begins = "__main__.py" not in said and said.endswith("KeyboardInterrupt\n")
        holds("Traceback" not in said or begins, said)
        holds(process.returncode in ENDS | {-sign for sign in SIGNALS}, process.returncode, said)
        kills += process.returncode not in (0, 1)
    holds(process.returncode in (0, 1), process.returncode, said)
    check_tables(Path("out"), said)
    status, _ = invoke(*arguments, "--jobs", "1", "--out", "whole")
    holds((status, tables_in(Path("whole"))) == (process.returncode, tables_in(Path("out"))), "killed, it differs")
    holds(not list(Path("out").rglob("*.partial")), "partial files remain")
    return f"killed {kills} times"


def case(seed: int) -> str:
    """Run the case of a seed; what came of it, or how it failed."""
    dice = random.Random(seed)
    folder = tempfile.mkdtemp(prefix="pyjpegdiff-fuzz-")
    try:
        with contextlib.chdir(folder):
            Path("in").mkdir()
            folder_of(dice)
            kind = killed if seed % 25 == 0 else dice.choices((study, code), (3, 1))[0]
            return kind(dice)
    except Exception:
        return f"failed\n{traceback.format_exc()}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@click.command()
@click.argument("count", type=int, default=500)
@click.option("--seed", type=int, default=None)
@click.option("--jobs", type=int, default=2)
def main(count: int, seed: int | None, jobs: int) -> None:
    """Run COUNT cases."""
    first = int(time.time()) * 1000 if seed is None else seed
    click.echo(f"seeds {first} to {first + count - 1}")
    found: Counter[str] = Counter()
    pool = ProcessPoolExecutor(jobs)
    try:
        seeds = {pool.submit(case, number): number for number in range(first, first + count)}
        for future in as_completed(seeds):
            result, *why = future.result().splitlines()
            found[result] += 1
            if found.total() % 100 == 0:
                click.echo(f"{found.total()} cases")
            if why:
                click.echo("\n".join((f"seed {seeds[future]}", *why)))
    finally:  # after Ctrl-C, too
        click.echo("\n".join(f"{number:6} {result}" for result, number in sorted(found.items())))
        pool.shutdown(cancel_futures=True)
    sys.exit(bool(found["failed"]))


if __name__ == "__main__":
    main()

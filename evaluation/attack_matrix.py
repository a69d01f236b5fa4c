"""More attacks through each codec than `evaluation.attack` has: ``python -m evaluation.attack_matrix report 24``.

FGSM is one step of eps, I-FGSM 20 of eps / 4, which stay within eps. They lead away from the label, which is what the
network says of the undistorted crop, or, targeted, towards another class, which is drawn for each crop beforehand, all
others being equally likely. An attacker may know the quality of the file; one who does not draws another for each step.
Through the codec "none" JPEG is ignored. Pillow writes and reads what was found; the loss of that counts, and which
class it is in. What was found for quality 50, or for none, is written at other qualities, too.

Each attack through a codec for a quality is a line of a file in ``build``, and a run that was stopped goes on there.
Only a run that got to its end writes a result, of all that its command asked for and nothing else.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from evaluation.attack import CODECS, METHODS, Attack, attacked, importable, parser_of, summary, through_files
from evaluation.classifier import Classifier, crops_of_half, logits, network
from evaluation.peers import PEERS, Codec
from evaluation.rows import append_row, command, read_rows, versions, write_half

MAIN = ("none", *PEERS, "smooth cubic", "smooth rational", "STE cubic")
EPS = {"FGSM": (1, 3, 8), "I-FGSM": (3, 8)}  # I-FGSM with 1 is what `evaluation.attack` has
QUALITIES = {"FGSM": tuple(range(5, 100, 10)), "I-FGSM": (10, 50, 90)}
WRITTEN_ELSEWHERE = 50
FILES = tuple(sorted({*QUALITIES["FGSM"], *QUALITIES["I-FGSM"]}))
DRAWN = (5, 95)
AIMS = ("untargeted", "targeted")
RESULT = Path(__file__).parent / "results" / "attack_matrix.json"

Outcome = dict[str, dict[str, list[float]]]
"""Of the label, and of the target if there is one: each crop's loss, and whether the crop is in that class."""


class Case(NamedTuple):
    """An attack through a codec for a quality, None where that is not known."""

    attack: Attack
    codec: str
    quality: int | None


def cases(attacks: Iterable[Attack], codecs: Sequence[str], qualities: Sequence[int] = ()) -> Iterator[Case]:
    """What is to be measured; first of all, crops that nobody attacked."""
    yield Case(Attack("none", 0), "none", None)
    for attack, codec in product(attacks, codecs):
        if codec != "none":
            yield from (Case(attack, codec, quality) for quality in qualities or QUALITIES[attack.method])
        if codec == "none" or METHODS[attack.method][0] > 1:  # one step is too few to draw qualities
            yield Case(attack, codec, None)


def targets_of(labels: Tensor, classes: int) -> Tensor:
    """For each crop another class than its label."""
    away = np.random.default_rng(0).integers(1, classes, len(labels))
    return (labels + torch.tensor(away)) % classes


def drawing(codec: Codec) -> Codec:
    """The codec at a quality that it draws itself."""
    rng = np.random.default_rng(0)
    return lambda x, _: codec(x, int(rng.integers(*DRAWN, endpoint=True)))


def files_of(quality: int | None) -> tuple[int, ...]:
    """The qualities of the files of what was found for a quality."""
    return FILES if quality is None or quality == WRITTEN_ELSEWHERE else (quality,)


def measured(case: Case, classify: Classifier, x: Tensor, labels: Tensor, targets: Tensor) -> dict[str, Outcome]:
    """The outcome in each file, by its quality."""
    attack, (codec, _) = case.attack, CODECS[case.codec]
    aims = {"label": labels, "target": targets} if attack.targeted else {"label": labels}
    *_, aim = aims.values()
    if case.quality is None:
        codec = drawing(codec)
    found = attacked(classify, codec, x, aim, case.quality or 0, attack)
    files: dict[str, Outcome] = {}
    for quality in files_of(case.quality):
        said = logits(classify, through_files(found, quality))
        files[str(quality)] = {
            name: {
                "loss": cross_entropy(said, classes, reduction="none").tolist(),
                "share": (said.argmax(1) == classes).tolist(),
            }
            for name, classes in aims.items()
        }
    return files


def case_of(row: dict[str, Any]) -> Case:
    """Which case a row is of."""
    return Case(Attack(row["method"], row["eps"], row["targeted"]), row["codec"], row["quality"])


def run(wanted: Sequence[Case], path: Path, measure: Callable[[Case], dict[str, Outcome]]) -> list[dict[str, Any]]:
    """A row of each case; those that the file has are not measured again."""
    rows = {case_of(row): row for row in read_rows(path)}
    for number, case in enumerate(wanted, 1):
        if case not in rows:
            start = time.perf_counter()
            row = case.attack._asdict() | {"codec": case.codec, "quality": case.quality, "files": measure(case)}
            append_row(path, row)
            rows[case] = row
            seconds = time.perf_counter() - start
            print(f"{number} of {len(wanted)} | {' | '.join(map(str, case))} | {seconds:.0f} s", file=sys.stderr)
    return [rows[case] for case in wanted]


def means(outcomes: dict[tuple[str, int], Outcome], aim: str) -> dict[str, dict[str, Any]]:
    """Of each codec over its qualities; by how much it is better than the best rival, as in `evaluation.attack`."""
    sign = -1 if aim == "target" else 1  # an attacker wants a target's loss to be low
    compared = summary({key: sign * np.array(outcome[aim]["loss"]) for key, outcome in outcomes.items()})
    found = {}
    for codec, its in compared.items():
        mine = {quality: outcome for (name, quality), outcome in outcomes.items() if name == codec}
        row: dict[str, Any] = {"qualities": list(mine)}
        for name, figure in product(next(iter(mine.values())), ("loss", "share")):
            row[f"{name} {figure}"] = [round(float(np.mean(outcome[name][figure])), 4) for outcome in mine.values()]
        if "more on average" in its:
            row["better on average"] = [round(x, 4) for x in its["more on average"]]
        found[codec] = row
    return found


def result_of(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The means for each attack, by what the attacker knew: the quality of each file, only 50, or none."""
    found: dict[Attack, dict[str, dict[tuple[str, int], Outcome]]] = {}
    for row in rows:
        attack, codec, quality = case_of(row)
        of_attack = found.setdefault(attack, {})
        if quality is not None:
            of_attack.setdefault("known", {})[codec, quality] = row["files"][str(quality)]
        if len(row["files"]) > 1:
            of_file = of_attack.setdefault("unknown" if quality is None else str(quality), {})
            of_file |= {(codec, int(file)): outcome for file, outcome in row["files"].items()}
    return [
        attack._asdict()
        | {knowledge: means(of, "target" if attack.targeted else "label") for knowledge, of in of_attack.items()}
        for attack, of_attack in found.items()
    ]


def main() -> None:
    """Run as a script."""
    parser = parser_of("evaluation.attack_matrix", __doc__)
    parser.add_argument("--methods", nargs="+", choices=EPS, default=list(EPS), metavar="NAME", help="of attack")
    parser.add_argument("--eps", nargs="+", type=int, help="of 255")
    parser.add_argument("--aims", nargs="+", choices=AIMS, default=list(AIMS), metavar="AIM", help="one of two")
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=list(MAIN), metavar="NAME", help="any number")
    parser.add_argument("--qualities", nargs="+", type=int, default=[], help="that attackers know")
    options = parser.parse_args()
    torch.set_num_threads(1)
    x, classify = crops_of_half(options.half, options.crops), network()
    of_crops = logits(classify, x)
    labels = of_crops.argmax(1)
    targets = targets_of(labels, of_crops.shape[1])
    attacks = [
        Attack(method, eps, aim == "targeted")
        for method in options.methods
        for eps, aim in product(options.eps or EPS[method], options.aims)
    ]
    rows = run(
        list(cases(attacks, importable(options.codecs), options.qualities)),
        Path("build/evaluation") / f"attack_matrix-{options.half}-{len(x)}.jsonl",
        lambda case: measured(case, classify, x, labels, targets),
    )
    result = {
        "command": command("evaluation.attack_matrix"), "crops": len(x), "versions": versions("torch"),
        "attacks": result_of(rows),
    }  # fmt: skip
    write_half(RESULT, options.half, result)


if __name__ == "__main__":
    main()

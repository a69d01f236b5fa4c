"""The report as text."""

from collections.abc import Iterator, Sequence

from benchmarks.environment import header
from benchmarks.results import MemoryReport, Report, SizeReport


def render(report: Report) -> str:
    """The whole report as text."""
    processes = "one for all" if report["one_process"] else "one per contestant and size"
    parts = [f"{header(report['environment'])}\nprocesses: {processes}"]
    parts += ["\n".join(_size(size, report["groups"])) for size in report["sizes"].values()]
    if report["memory"]:
        parts.append("\n".join(_memory(report["memory"])))
    for title, figures in report["derived"].items():
        parts.append(
            "\n".join(columns([(title, "")], [(f"  {name}", f"{value:.2f}") for name, value in figures.items()]))
        )
    if report["missing"]:
        parts.append("\n".join(f"{name}: {reason}" for name, reason in report["missing"].items()))
    return "\n\n".join(parts)


def columns(head: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column is aligned to the left, the others to the right."""
    lines = [*head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines]


def _size(size: SizeReport, groups: dict[str, str]) -> Iterator[str]:
    rows = []
    for group in dict.fromkeys(groups.values()):
        rows.append([group, "", "", "", ""])
        rows += [
            [
                f"  {name}",
                f"{measured['milliseconds']:.1f}",
                f"{measured['ratio']:.2f}",
                f"{measured['megapixels_per_second']:.1f}",
                str(measured["rounds"]),
            ]
            for name, measured in size["measured"].items()
            if groups[name] == group
        ]
    yield from columns([[size["label"], "ms", "x Pillow", "MP/s", "rounds"]], rows)
    for name, reason in size["failed"].items():
        yield f"  {name} FAILED: {reason}"


def _memory(memory: MemoryReport) -> Iterator[str]:
    title = f"peak memory at {memory['edge']}x{memory['edge']} over the float32 image"
    yield from columns([(title, "")], [(f"  {name}", f"{factor:.1f}") for name, factor in memory["factors"].items()])
    for name, reason in memory["failed"].items():
        yield f"  {name} FAILED: {reason}"

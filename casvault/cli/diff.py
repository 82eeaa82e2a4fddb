"""``casvault diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from casvault.cli.options import common, make_progress, open_vault, print_json, say
from casvault.cli.text import iteration, plain, size, table

if TYPE_CHECKING:
    from casvault.diff.report import Diff, FileChange, Side, TensorChange, ValueChange

__all__ = ["command"]

_MOST = {"weights": 20, "optimizer": 5, "records": 5}
_TITLES = {"weights": "Weights", "optimizer": "Optimizer", "records": "What the trainer notes down"}


@click.command("diff")
@click.argument("a", metavar="SNAPSHOT")
@click.argument("b", metavar="SNAPSHOT|MODEL")
@click.option("--all", "show_all", is_flag=True, help="Show all tensors, also those that did not change.")
@common
@click.pass_obj
def command(named: str | None, a: str, b: str, show_all: bool, as_json: bool, quiet: bool) -> None:
    """Compare two snapshots, or a snapshot with a live model: files, tensors, losses and options.

    How far a tensor moved is the root mean square of the difference by that of the tensor in the first.
    """
    vault = open_vault(named, b)
    found = vault.diff(a, b, progress=make_progress(quiet or as_json))
    if as_json:
        print_json(found.to_json())
        return
    say(_render(found, show_all))


def _render(found: Diff, show_all: bool) -> str:
    blocks = [f"from {_side(found.a)}\nto   {_side(found.b)}"]
    blocks += [
        f"{title}\n{_values(values)}"
        for title, values in (("State", found.metadata), ("Options", found.options))
        if values
    ]
    blocks.append(_files(found.files))
    same = [plain(file.role) for file in found.files if file.change == "same"]
    if found.same:
        blocks.append("Nothing changed: all files are the same, byte for byte.")
    elif same:
        blocks.append(f"Unchanged, byte for byte: {', '.join(same)}")
    for part, title in _TITLES.items():
        mine = [tensor for tensor in found.tensors if tensor.part == part]
        shown = [tensor for tensor in mine if show_all or tensor.change != "same"]
        if shown:
            blocks.append(_tensors(title, mine, shown, len(shown) if show_all else _MOST[part]))
    return "\n\n".join(blocks)


def _side(side: Side) -> str:
    torn = f", incomplete: {side.incomplete}" if side.incomplete else ""
    return plain(f"{side.title} of {side.model}, {iteration(side.iteration)}{torn}")


def _values(values: tuple[ValueChange, ...]) -> str:
    return table([(plain(one.key), f"{_value(one.a)} -> {_value(one.b)}") for one in values], indent="  ")


def _value(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) and 0.001 < abs(value) < 1000 else plain(str(value))


def _files(files: tuple[FileChange, ...]) -> str:
    rows = [("FILE", "", "SIZE", "TENSORS CHANGED")]
    for file in files:
        sizes = [size(number) for number in (file.size_a, file.size_b) if number is not None]
        tensors = f"{file.moved:,} of {file.tensors:,}" if file.tensors else "-"
        rows.append((plain(file.role), file.change, " -> ".join(dict.fromkeys(sizes)), tensors))
    return table(rows, right=(2,))


def _tensors(title: str, mine: list[TensorChange], shown: list[TensorChange], most: int) -> str:
    changed = sum(tensor.change == "changed" for tensor in mine)
    rows = [(_moved(tensor), plain(tensor.name), plain(tensor.role), _shape(tensor)) for tensor in shown[:most]]
    text = f"{title}: {changed:,} of {len(mine):,} tensors changed\n" + table(
        [("MOVED", "TENSOR", "FILE", "SHAPE"), *rows], right=(0,), indent="  "
    )
    return text + (f"\n  and {len(shown) - most:,} more; --all shows them" if len(shown) > most else "")


def _moved(tensor: TensorChange) -> str:
    if tensor.change != "changed":
        return tensor.change
    if tensor.relative is not None:
        return f"{tensor.relative:.2%}"
    return "from zero" if tensor.rms_a == 0 else "not a number" if tensor.differing else "changed"


def _shape(tensor: TensorChange) -> str:
    kinds = [kind for kind in (tensor.kind_a, tensor.kind_b) if kind is not None]
    told = dict.fromkeys(f"{dtype} {'x'.join(map(str, shape)) or '1'}" for dtype, shape in kinds)
    return " -> ".join(told)

"""``casvault health``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from casvault.cli.options import common, make_progress, open_vault, print_json, say
from casvault.cli.text import iteration, losses, plain, size, table
from casvault.errors import Unhealthy

if TYPE_CHECKING:
    from casvault.health.examine import Health, TensorHealth

__all__ = ["command"]

_MOST = 20


@click.command("health")
@click.argument("what", metavar="MODEL|SNAPSHOT")
@common
@click.pass_obj
def command(named: str | None, what: str, as_json: bool, quiet: bool) -> int:
    """Tell whether a live model, or a snapshot, is in good health; exit code 1 says that it is suspect or broken.

    All of it is read: its losses, and every number of its tensors.
    """
    vault = open_vault(named, what)
    found = vault.health(what, progress=make_progress(quiet or as_json))
    if as_json:
        print_json(found.to_json())
        return 0 if found.ok else Unhealthy.exit_code
    say(_render(found))
    if found.ok:
        return 0
    more = f" And {len(found.findings) - 1} more." if len(found.findings) > 1 else ""
    raise Unhealthy(f"{plain(found.model)} is {found.state}: {plain(found.findings[0])}{more}")


def _render(found: Health) -> str:
    lines = [f"{plain(found.model)}, {plain(found.title)}: {found.state}"]
    lines += [f"  {plain(finding)}" for finding in found.findings]
    if found.incomplete:
        lines.append(f"Incomplete: {plain(found.incomplete)}")
    lines.append(f"{iteration(found.iteration)}, loss {losses(found.loss)} (mean of up to 100){_before(found)}")
    lines.append(_numbers(found))
    odd = [tensor for tensor in found.tensors if not tensor.ordinary]
    odd.sort(key=lambda tensor: -(tensor.nan + tensor.inf))
    if odd:
        rows: list[tuple[str, ...]] = [("FILE", "TENSOR", "NUMBERS", "NAN", "INF", "")]
        rows += [_row(tensor) for tensor in odd[:_MOST]]
        lines.append("\n" + table(rows, right=(2, 3, 4), indent="  "))
        if len(odd) > _MOST:
            lines.append(f"  and {len(odd) - _MOST} more; --json has all")
    if found.thinned:
        lines.append(f"Not kept any more, so not read: {plain(', '.join(found.thinned))}")
    return "\n".join(lines)


def _before(found: Health) -> str:
    return f", best before {losses(dict(found.loss_best))}" if found.loss_best else ""


def _numbers(found: Health) -> str:
    count = sum(tensor.numbers for tensor in found.tensors)
    bad = sum(tensor.nan + tensor.inf for tensor in found.tensors)
    told = f"{bad:,} of them NaN or infinite" if bad else "none of them NaN or infinite"
    return f"{len(found.tensors):,} tensors with {count:,} numbers, {told}; {size(found.size)} read"


def _row(tensor: TensorHealth) -> tuple[str, ...]:
    remark = "all zero" if tensor.zero else "all the same" if tensor.constant else ""
    numbers = (f"{number:,}" for number in (tensor.numbers, tensor.nan, tensor.inf))
    return plain(tensor.path), plain(tensor.name), *numbers, remark

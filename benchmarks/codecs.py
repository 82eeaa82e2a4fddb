"""Each codec on its own: ratio and pace on tensors of real saves where given, else generated ones, in one thread.

Chunks are those that a vault would make: whole rows, at most the default size. Their base is the same chunk one save
earlier.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.figures import median, table
from benchmarks.saves import generated, real
from benchmarks.settings import Settings

__all__ = ["codec_tables", "measure_codecs"]

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_SIZE = 37_000_000
_BUDGET = 16 << 20
"""Plain bytes of each class of tensors that are coded."""

_CHOOSES = "chosen by casvault"


@dataclass(frozen=True)
class _Sample:
    """A chunk with the same chunk one save earlier, and what that takes where it stands alone, as a vault knows it.

    ``layout`` is what casvault knows of its numbers, and ``leans`` whether it looks for a base at all: not for first
    moments, which forget from save to save.
    """

    data: bytes
    base: bytes
    layout: Any
    alone: int
    leans: bool


def measure_codecs(settings: Settings) -> dict[str, Any]:
    """Return bytes and seconds by class of tensors and codec, measured in a process of its own.

    What numbers are coded with takes memory, which would count for every process that is started later.
    """
    settings.tell("codecs")
    if settings.trajectory is not None:
        saves = real(settings.trajectory)[-2:]
    else:
        saves = generated(settings.folder("codecs") / "saves", 12_000_000 if settings.quick else _SIZE, 2)
    budget, rounds = (2 << 20, 1) if settings.quick else (_BUDGET, min(3, settings.rounds))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_measure, saves[0], saves[-1], budget, rounds).result()


def _measure(earlier: Path, later: Path, budget: int, rounds: int) -> dict[str, Any]:
    from casvault.codecs import CODEC_IDS, codec_of

    result: dict[str, Any] = {}
    for kind, samples in _samples(earlier, later, budget).items():
        usable = {name: codec for name, number in CODEC_IDS.items() if (codec := _usable(codec_of, number, samples[0]))}
        plain = sum(len(one.data) for one in samples)
        figures: dict[str, Any] = {name: {"plain": plain, "encode": [], "decode": []} for name in usable}
        figures[_CHOOSES] = {"plain": plain, "encode": [], "coding": []}
        for _ in range(rounds):
            for name, codec in usable.items():
                _one(codec, samples, figures[name])
            _choosing(codec_of, samples, figures[_CHOOSES])
        result[kind] = figures
    return result


def _usable(codec_of: Any, number: int, sample: _Sample) -> Any:
    """Return the codec with this id, warmed up; None for one that this casvault lacks or does not write."""
    from casvault.errors import FormatError

    try:
        codec = codec_of(number)
        codec.encode(sample.data, sample.layout, _base(codec, sample))
    except (FormatError, NotImplementedError):
        return None
    return codec


def _samples(earlier: Path, later: Path, budget: int) -> dict[str, list[_Sample]]:
    from benchmarks.tensors import CLASSES, read_tensors
    from casvault.chunking.parameters import ChunkingParameters
    from casvault.codecs import Layout, encode

    before, largest = read_tensors(earlier), ChunkingParameters().max_chunk
    found: dict[str, list[_Sample]] = {kind: [] for kind in CLASSES}
    left = dict.fromkeys(CLASSES, budget)
    for tensor in read_tensors(later).values():
        base = before.get(tensor.name)
        if base is None or len(base.data) != len(tensor.data):
            continue
        step = max(1, largest // (tensor.row_length * 4)) * tensor.row_length * 4
        for start in range(0, len(tensor.data), step):
            if left[tensor.kind] <= 0:
                break
            data, prior = tensor.data[start : start + step], base.data[start : start + step]
            left[tensor.kind] -= len(data)
            layout = Layout(4, tensor.row_length)
            alone = len(encode(prior, layout)[1])
            found[tensor.kind].append(_Sample(data, prior, layout, alone, leans=tensor.kind != "ms"))
    return {kind: samples for kind, samples in found.items() if samples}


def _one(codec: Any, samples: Sequence[_Sample], figures: dict[str, Any]) -> None:
    """Code and decode once with one codec; every payload is checked."""

    def encode(one: _Sample) -> bytes:
        return bytes(codec.encode(one.data, one.layout, _base(codec, one)))

    def decode(pair: tuple[_Sample, bytes]) -> Any:
        return codec.decode(pair[1], len(pair[0].data), pair[0].layout, _base(codec, pair[0]))

    payloads, seconds = _timed(encode, samples)
    figures["encode"].append(seconds)
    plain, seconds = _timed(decode, list(zip(samples, payloads, strict=True)))
    figures["decode"].append(seconds)
    if any(bytes(made) != one.data for made, one in zip(plain, samples, strict=True)):
        raise SystemExit(f"codec {codec.name} does not give back what it was given")
    figures["payload"] = sum(len(payload) for payload in payloads)


def _choosing(codec_of: Any, samples: Sequence[_Sample], figures: dict[str, Any]) -> None:
    """Let casvault choose; "encode" is the time of all it does, "coding" that of the chosen codecs alone."""
    from casvault.codecs import encode

    def choose(one: _Sample) -> tuple[int, bytes]:
        return encode(one.data, one.layout, *((one.base, one.alone) if one.leans else ()))

    def code(pair: tuple[_Sample, Any]) -> Any:
        return pair[1].encode(pair[0].data, pair[0].layout, _base(pair[1], pair[0]))

    made, seconds = _timed(choose, samples)
    figures["encode"].append(seconds)
    chosen = [(one, codec_of(number)) for one, (number, _) in zip(samples, made, strict=True)]
    figures["coding"].append(_timed(code, chosen)[1])
    names = [codec.name for _, codec in chosen]
    figures["payload"] = sum(len(payload) for _, payload in made)
    figures["chosen"] = {name: names.count(name) for name in sorted(set(names))}


def _base(codec: Any, one: _Sample) -> bytes | None:
    return one.base if codec.needs_base else None


def _timed(work: Callable[[_In], _Out], items: Sequence[_In]) -> tuple[list[_Out], float]:
    """Return what ``work`` makes of each item, and the seconds that it took."""
    begun = time.perf_counter()
    made = [work(item) for item in items]
    return made, time.perf_counter() - begun


def codec_tables(result: dict[str, Any]) -> dict[str, str]:
    """Return the table of codecs, without the one that changes nothing, and that of choosing between them."""
    rows, choices = [], []
    for kind, codecs in result.items():
        for name, figures in codecs.items():
            plain, encoding = figures["plain"], median(figures["encode"])
            share, pace = f"{figures['payload'] / plain:.3f}", f"{plain / encoding / 1e9:.2f}"
            if name == "raw":
                continue
            if name != _CHOOSES:
                rows.append([kind, name, share, pace, f"{plain / median(figures['decode']) / 1e9:.2f}"])
                continue
            chosen = ", ".join(f"{each} {count}" for each, count in figures["chosen"].items())
            effort = max(0.0, encoding / median(figures["coding"]) - 1)
            choices.append([kind, share, pace, f"{effort:.0%}", chosen])
    return {
        "codecs": table(["tensors", "codec", "size", "encode GB/s", "decode GB/s"], rows),
        "choosing": table(
            ["tensors", "size", "encode GB/s", "more time than the codec alone", "chosen, chunks"], choices
        ),
    }

"""What people type for a snapshot -> the snapshot.

A reference is an id, a unique prefix of one or its six-digit tail, a name, ``latest``, ``latest~2``, or any of the last
two after a model's name: ``new_SAEHD@latest``, and ``new_SAEHD@50000`` for an iteration. ``latest`` means complete,
healthy and neither an automatic backup nor imported, unless there is no other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from casvault.errors import AmbiguousError, NotFound
from casvault.manifest.stamp import Stamp
from casvault.vault.head import Head

__all__ = ["heads_of_model", "is_model_name", "resolve_snapshot"]

_LATEST = re.compile(r"latest(?:~(\d{1,6}))?")
_ID_PREFIX = re.compile(r"\d{8}(T[0-9.Zz-]*[0-9a-f]*)?")
_ITERATION = re.compile(r"[0-9]{1,18}")
_TAIL = re.compile(r"[0-9a-f]{6}")
_SHOWN = 5


def resolve_snapshot(text: str, heads: Sequence[Head]) -> Head:
    """Return the one head in ``heads`` (oldest first) that ``text`` names; raises NotFound, AmbiguousError."""
    if Stamp.valid(text):
        return _one(text, [head for head in heads if head.id == text])
    named = [head for head in heads if head.name == text]
    if named:
        return _one(text, named)
    model, at, rest = text.rpartition("@")
    if at and model:
        return _of_model(text, rest, [head for head in heads if is_model_name(model, head.model_name)])
    match = _LATEST.fullmatch(text)
    if match:
        return _latest(text, int(match[1] or 0), heads)
    if _TAIL.fullmatch(text):
        found = [head for head in heads if head.id.endswith(f"-{text}")]
        if found:
            return _one(text, found)
    if _ID_PREFIX.fullmatch(text):
        return _one(text, [head for head in heads if head.id.startswith(text)])
    raise _unknown(text, heads)


def _unknown(text: str, heads: Sequence[Head]) -> NotFound:
    import difflib

    names = {head.name.casefold(): head.name for head in heads if head.name}
    near = difflib.get_close_matches(text.casefold(), names, n=1)
    hint = f"did you mean {names[near[0]]!r}?" if near else "`casvault list` shows what there is."
    return NotFound(f"no snapshot is called {text!r}; {hint}")


def is_model_name(text: str, model: str) -> bool:
    """Tell whether ``text`` names ``model``: in full (new_SAEHD), or without its class (new)."""
    return text != "" and text in (model, model.rpartition("_")[0])


def heads_of_model(heads: Sequence[Head], model: str, home: Path) -> list[Head]:
    """Return the heads of ``model``: its name in full or without its class, or a path to it.

    ``home`` is the folder that sources are relative to. Raises NotFound where it is neither.
    """
    named = [head for head in heads if is_model_name(model, head.model_name)]
    if named:
        return named
    from casvault.models import resolve

    try:
        found = {(one.name, one.folder) for one in resolve(Path(model))}
    except NotFound:
        path = Path(model).absolute()
        gone = [head for head in heads if path in (home / head.source, home / head.source / head.model_name)]
        if gone:
            return gone
        raise NotFound(
            f"no model {model!r} has snapshots, and nothing is at {path}; `casvault list` shows all."
        ) from None
    return [head for head in heads if (head.model_name, home / head.source) in found]


def _of_model(text: str, rest: str, heads: list[Head]) -> Head:
    match = _LATEST.fullmatch(rest)
    if match:
        return _latest(text, int(match[1] or 0), heads)
    if _ITERATION.fullmatch(rest):
        found = [head for head in heads if head.iteration == int(rest)]
        for lesser in (("auto-backup", "imported"), ("auto-backup",), ()):
            chosen = [head for head in found if head.kind not in lesser]
            if chosen:
                break
        return _one(text, chosen)
    raise NotFound(f"no snapshot is called {text!r}: after the @ goes `latest`, `latest~1` or an iteration.")


def _latest(text: str, back: int, heads: Sequence[Head]) -> Head:
    usable = [head for head in heads if head.kind != "auto-backup" and not head.incomplete and head.healthy]
    # What was imported is of before, whenever that was done: it counts where a model has nothing else.
    own = {head.model_name for head in usable if head.kind != "imported"}
    usable = [head for head in usable if head.kind != "imported" or head.model_name not in own]
    models = sorted({head.model_name for head in usable})
    places = sorted({head.place for head in usable})
    if len(models) > 1:
        raise AmbiguousError(
            f"{text!r} could be a snapshot of {' or '.join(models[:_SHOWN])}; "
            f"say MODEL@latest, as in {models[0]}@latest."
        )
    if len(places) > 1:
        raise AmbiguousError(
            f"{text!r} could be a snapshot of {models[0]} in {' or in '.join(places[:_SHOWN])}; say the id."
        )
    if back >= len(usable):
        raise NotFound(f"there are {len(usable)} whole, healthy snapshots to choose from, too few for {text!r}.")
    return usable[-1 - back]


def _one(text: str, found: Sequence[Head]) -> Head:
    if not found:
        raise NotFound(f"no snapshot is called {text!r}; `casvault list` shows what there is.")
    if len(found) > 1:
        ids = ", ".join(head.id for head in found[-_SHOWN:])
        raise AmbiguousError(f"{text!r} could be any of {len(found)} snapshots ({ids}); say the id.")
    return found[0]

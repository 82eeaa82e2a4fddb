"""A bounded walk through what a pickle held, naming every part by the keys that lead to it."""

from __future__ import annotations

from collections.abc import Iterator

from casvault.formats.values import Opaque

__all__ = ["named_parts"]

_MOST = 1_000_000
_DEEPEST = 200
_LONGEST_NAME = 1000


def named_parts(value: object, separator: str) -> Iterator[tuple[str, object]]:
    """Yield every value that is no container with its name, the first time it is met.

    A name is the dict keys and list indices on the way, joined with ``separator``; an Opaque is yielded
    and what it holds follows under the same name. What lies too deep is left out, and the walk ends
    after a million values.
    """
    seen = set()
    pending = [iter([("", value)])]
    visits = 0
    while pending and visits < _MOST:
        visits += 1
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            continue
        name, part = entry
        if isinstance(part, (dict, list, tuple, Opaque)):
            if id(part) in seen:
                continue
            seen.add(id(part))
            if len(pending) < _DEEPEST:
                pending.append(_parts(name, part, separator))
        if not isinstance(part, (dict, list, tuple)):
            yield name, part


def _parts(
    name: str, value: dict[object, object] | list[object] | tuple[object, ...] | Opaque, separator: str
) -> Iterator[tuple[str, object]]:
    if isinstance(value, Opaque):
        args = value.args if isinstance(value.args, tuple) else (value.args,)
        for part in (*args, value.state, value.items, value.mapping):
            yield name, part
        return
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    prefix = name + separator if name else ""
    for key, part in entries:
        label = key if isinstance(key, str) else str(key) if isinstance(key, int) else "?"
        yield (prefix + label[:_LONGEST_NAME])[:_LONGEST_NAME], part

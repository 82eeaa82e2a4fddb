"""Steps: folders such as ``checkpoint-500`` in a watched folder, which are the saves of one model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from casvault.errors import StorageError
from casvault.files.identity import is_plain_folder

__all__ = ["Step", "steps_in"]

_NAME = re.compile(
    # What begins with tmp is still being written, and renamed when it is whole.
    r"(?i)((?!tmp|temp|\.)(?:.*[-_.])?(?:checkpoint|ckpt|global_step|steps?|epoch|iter(?:ation)?|save)[-_.=]?)"
    r"([0-9]{1,12})"
)


class Step(NamedTuple):
    """One save: the folder and the number in its name."""

    number: int
    folder: Path


def steps_in(folder: Path) -> list[Step]:
    """Return the steps directly in ``folder``, by number; none where they are called differently, as of two models.

    Raises StorageError.
    """
    try:
        folders = [path for path in folder.iterdir() if is_plain_folder(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StorageError(f"cannot look into {folder}: {error.strerror or error}.") from error
    matched = [(_NAME.fullmatch(path.name), path) for path in folders]
    found = [Step(int(match[2]), path) for match, path in matched if match is not None]
    prefixes = {match[1] for match, _ in matched if match is not None}
    return sorted(found) if len(prefixes) == 1 else []

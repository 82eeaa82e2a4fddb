"""The origin of a copy: the model that it is of, which is somewhere else than the copy.

A snapshot of a copy belongs to its model and to the folder where that is, and continues the line of the copies before
it. What is remembered of the model in place is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from casvault.manifest.manifest import FileEntry
from casvault.models import Model, kind_named

__all__ = ["Origin"]


@dataclass(frozen=True)
class Origin:
    """``name`` is the model's full one, ``source`` its folder as manifests write it, ``parent`` the snapshot of the
    copy before, None for the first.
    """

    name: str
    source: str
    parent: str | None = None

    def renamed(self, files: list[FileEntry], copy: Model) -> list[FileEntry]:
        """Return the entries of the files of ``copy`` under the names that they have in the model's own folder."""
        if copy.name == self.name:
            return files
        kind = kind_named(copy.kind)
        return [replace(entry, path=kind.path_of(entry.role, self.name)) for entry in files]

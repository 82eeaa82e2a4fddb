"""Faults: what speaks against the tensors of a file, told from a survey of it.

NaN and infinity always do. A tensor that is one number all over does where it was not so in the parent: biases and
moments are zero at the start of a training, weights die later. What an optimizer gathers may be lost at any time
without harm, and what a trainer notes down (pictures, black ones too) is no part of the model.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from casvault.errors import CasvaultError
from casvault.formats.region import Region
from casvault.health.survey import Survey
from casvault.manifest.manifest import Fault, FileEntry, Manifest
from casvault.models import Kind
from casvault.vault.vault import Vault

if TYPE_CHECKING:
    from casvault.subject import StoredFile

__all__ = ["Inspector"]

_PIECE = 1 << 20


class Inspector:
    """Finds the faults of one model, of which ``parent`` is an earlier snapshot, None where there is none.

    ``iteration`` is the model's: where it is before the parent's, a new run has begun, with weights made anew.
    """

    def __init__(self, vault: Vault, kind: Kind, parent: Manifest | None, iteration: int | None = None) -> None:
        self._vault, self._kind = vault, kind
        anew = parent is not None and iteration is not None and iteration < (parent.iteration or 0)
        self._parent = None if anew else parent

    def survey(self, role: str, regions: tuple[Region, ...] | list[Region], *, squares: bool = False) -> Survey:
        """Return a survey of the tensors of a file that are the model's."""
        return Survey(() if self._kind.is_record(role) else regions, squares=squares)

    def faults(self, role: str, survey: Survey) -> tuple[Fault, ...]:
        """Return the faults of the file that ``survey`` has seen whole."""
        found = []
        for region, facts in survey.found():
            if facts.nan or facts.inf:
                found.append(Fault(region.name, facts.nan, facts.inf))
            elif facts.constant and not self._kind.is_optimizer(role) and self._came_to_be(role, region):
                found.append(Fault(region.name, flat=True))
        return tuple(found)

    @cached_property
    def _parents(self) -> dict[str, tuple[FileEntry, StoredFile | None]]:
        if self._parent is None:
            return {}
        # Most models have no tensor that is one number all over.
        from casvault.subject import stored_sources

        return {entry.role: (entry, source) for entry, source in stored_sources(self._vault, self._parent)}

    def _came_to_be(self, role: str, region: Region) -> bool:
        """Tell whether a constant tensor was none in the parent, or had come to be one by then."""
        entry, source = self._parents.get(role, (None, None))
        if entry is None or source is None:
            return False
        if any(fault.flat and fault.name == region.name for fault in entry.faults):
            return True
        place = (region.name, region.dtype, region.shape, region.size)
        then = next((r for r in entry.regions if (r.name, r.dtype, r.shape, r.size) == place), None)
        return then is not None and not _was_constant(source, then)


def _was_constant(source: StoredFile, region: Region) -> bool:
    """Tell whether a tensor of the parent is one number all over; what cannot be read counts as such."""
    survey = Survey([region])
    for offset in range(region.offset, region.end, _PIECE):
        try:
            survey.add(survey.look(offset, source.read_at(offset, min(_PIECE, region.end - offset))))
        except CasvaultError:
            return True
        if not all(facts.constant for _, facts in survey.found()):
            return False
    return True

"""What can go wrong, as types; each carries the exit code that the command line ends with.

::

    CasvaultError                  exit 1   anything that casvault itself reports
    ├── UsageError                 exit 2   the request makes no sense as it stands
    │   └── AmbiguousError         exit 2   several things match what was named
    ├── NotFound                   exit 1   a model, snapshot or file that was named is not there
    ├── IncompleteSave             exit 1   the live model is not a whole save
    ├── NoSpace                    exit 1   the disk has too little room for what was asked
    ├── StorageError               exit 1   the disk or the backend failed
    ├── Unhealthy                  exit 1   the model that was examined is suspect or broken
    ├── RemoteError                exit 1   a vault elsewhere cannot be reached, or does not keep to the protocol
    │   └── BrokenLink             exit 1   the connection to it broke, or nothing came over it for too long
    ├── PartialResult              exit 3   some of what was asked was done, some was not
    ├── NoVault                    exit 10  there is no vault here, or it is not one
    │   └── UnsupportedVault       exit 10  the vault is of a newer format, or needs a feature unknown here
    ├── Locked                     exit 11  somebody else holds a lock for too long
    ├── TrainerRunning             exit 11  a trainer is at work on the model that is to be replaced
    ├── DamageError                exit 20  stored bytes are not what they were
    │   ├── MissingObject          exit 20  a chunk has no object
    │   └── BadManifest            exit 20  a manifest or label that does not hold together
    ├── RemoteConflict             exit 21  two vaults have different things under one name
    └── Cancelled                  exit 130 the caller asked to stop

    FormatError                    (inside formats and models only) bytes that do not follow their format

Every message is one sentence that names the thing and, where there is one, the way out.
This module owns the promise that nothing else decides an exit code.
"""

from __future__ import annotations

__all__ = [
    "AmbiguousError",
    "BadManifest",
    "BrokenLink",
    "Cancelled",
    "CasvaultError",
    "DamageError",
    "FormatError",
    "IncompleteSave",
    "Locked",
    "MissingObject",
    "NoSpace",
    "NoVault",
    "NotFound",
    "PartialResult",
    "RemoteConflict",
    "RemoteError",
    "StorageError",
    "TrainerRunning",
    "Unhealthy",
    "UnsupportedVault",
    "UsageError",
]


class CasvaultError(Exception):
    """Whatever casvault reports to its caller."""

    exit_code = 1


class UsageError(CasvaultError):
    """The request makes no sense as it stands."""

    exit_code = 2


class AmbiguousError(UsageError):
    """Several things match what was named."""


class NotFound(CasvaultError):
    """A model, snapshot or file that was named is not there."""


class IncompleteSave(CasvaultError):
    """The live model is not one whole save."""


class NoSpace(CasvaultError):
    """The disk has too little room for what was asked."""


class StorageError(CasvaultError):
    """The disk or the backend failed."""


class Unhealthy(CasvaultError):
    """The model that was examined is suspect or broken; the vault itself is not damaged by that."""


class RemoteError(CasvaultError):
    """A vault elsewhere cannot be reached, or does not keep to the protocol."""


class BrokenLink(RemoteError):
    """The connection to a vault elsewhere broke, or nothing came over it for too long; to try again may help."""


class PartialResult(CasvaultError):
    """Some of what was asked was done, some was not."""

    exit_code = 3


class NoVault(CasvaultError):
    """There is no vault here, or what is here is not one."""

    exit_code = 10


class UnsupportedVault(NoVault):
    """The vault is of a newer format or needs a feature that this version does not have."""


class Locked(CasvaultError):
    """Somebody else holds a lock for too long."""

    exit_code = 11


class TrainerRunning(CasvaultError):
    """A trainer is at work on the model that is to be replaced, and would save over it."""

    exit_code = 11


class DamageError(CasvaultError):
    """Stored bytes are not what they were."""

    exit_code = 20


class MissingObject(DamageError):
    """A chunk has no object in the vault."""


class BadManifest(DamageError):
    """A manifest or a label that does not hold together."""


class RemoteConflict(CasvaultError):
    """Two vaults have different things under one name."""

    exit_code = 21


class Cancelled(CasvaultError):
    """The caller asked to stop."""

    exit_code = 130


class FormatError(Exception):
    """Bytes that do not follow the format they seem to have; never leaves casvault."""

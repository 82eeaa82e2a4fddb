"""A remote: one of the two vaults between which snapshots travel, wherever it lies.

A vault on this machine is one, a vault at the other end of a connection is one, and both ends of a transfer are: the
transfer knows nothing else of either. Whatever keeps objects, manifests and labels can become one.

Owns the promise of each method; what arrives at a receiver is checked by the receiver, whoever sent it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from casvault.codecs import Bytes
from casvault.errors import CasvaultError, DamageError, FormatError, MissingObject, NotFound, UsageError
from casvault.objects import ObjectName
from casvault.vault.head import Head

if TYPE_CHECKING:
    from casvault.progress import Progress
    from casvault.usage.usage import Usage

__all__ = ["Arrival", "Commit", "Documents", "Known", "Outcome", "Remote", "Standing", "State", "Wanted"]


class Known(NamedTuple):
    """A snapshot as one side knows it: its head, the stamp of its newest label, a digest of what never changes."""

    head: Head
    stamp: str | None
    fingerprint: str


@dataclass(frozen=True)
class State:
    """All that a side has: snapshots by id, deleted ones too.

    ``tombstones`` are the stamps of labels of deleted snapshots that are gone, by id; ``damaged`` the ids of snapshots
    whose manifests cannot be read.
    """

    snapshots: Mapping[str, Known]
    tombstones: Mapping[str, str] = field(default_factory=dict)
    damaged: frozenset[str] = frozenset()


class Standing(NamedTuple):
    """What a receiver has of some chunks: how many bases stand behind each that can be had there.

    ``alone`` are those that it lacks and that something there leans on: sent as deltas they could close a circle.
    """

    depths: Mapping[str, int]
    alone: frozenset[str] = frozenset()


class Wanted(NamedTuple):
    """An object that a sender is asked for, as it is, or coded anew to stand ``alone``."""

    name: ObjectName
    alone: bool = False


class Arrival(NamedTuple):
    """An object on its way: its name and its bytes, the header included."""

    name: ObjectName
    data: Bytes


class Commit(NamedTuple):
    """A snapshot that is to be made real, or to get a newer label: both documents as they are stored."""

    id: str
    manifest: bytes
    stamp: str | None = None
    label: bytes | None = None


class Documents(NamedTuple):
    """The documents of a snapshot as they are stored: its manifest, and the label that was asked for."""

    manifest: bytes
    label: bytes | None


class Outcome(NamedTuple):
    """What became of a commit: nothing was written where chunks are ``missing``, or where it was ``refused``."""

    missing: tuple[str, ...] = ()
    refused: str | None = None
    conflict: bool = False


class Remote(ABC):
    """One end of a transfer. Methods raise what the vault there raises, and RemoteError where it cannot be reached."""

    title: str
    """What it is called in sentences."""
    uuid: str
    max_depth: int
    """How many bases may stand behind an object there."""

    @property
    @abstractmethod
    def wire_bytes(self) -> int:
        """Bytes that went to it and came from it so far."""

    @property
    def begun(self) -> int:
        """Bytes of objects whose transfer broke off, and of which only the rest will be sent."""
        return 0

    @abstractmethod
    def state(self) -> State:
        """Return which snapshots and labels there are."""

    def ready(self) -> None:  # noqa: B027 - most are at once
        """Wait until it answers; raises RemoteError where it does not."""

    @abstractmethod
    def manifest(self, id: str) -> bytes:
        """Return the document of a snapshot as it is stored; raises NotFound."""

    @abstractmethod
    def label(self, id: str, stamp: str) -> bytes:
        """Return the document of a label as it is stored; raises NotFound."""

    @abstractmethod
    def closure(self, digests: Collection[str]) -> list[ObjectName]:
        """Return the objects that give these chunks and all their bases, bases first; what cannot be had is absent."""

    @abstractmethod
    def read(self, portions: Iterable[Sequence[Wanted]]) -> Generator[list[Arrival], None, None]:
        """Yield the objects of the portions, in their order, some at a time; raises MissingObject where one is gone.

        Where the link breaks, what came whole is yielded first. Who stops early closes it before asking anything else.
        """

    @abstractmethod
    def announce(self, id: str, digests: Collection[str]) -> None:
        """Say, or say again, which chunks snapshot ``id`` will need, so that none of them is collected."""

    @abstractmethod
    def withdraw(self, id: str) -> None:
        """Take back what was announced for ``id``."""

    @abstractmethod
    def standing(self, digests: Collection[str]) -> Standing:
        """Tell which of these chunks can be had; counts only for chunks that were announced before."""

    @abstractmethod
    def put(self, portion: Sequence[Arrival]) -> None:
        """Take in objects, bases first. Each is decoded and compared with its digest before it is written.

        They may be worked on after this has returned; its errors then come out of the next call.
        """

    @abstractmethod
    def settle(self) -> None:
        """Return when all that was put is on the disk."""

    @abstractmethod
    def commit(self, commit: Commit) -> Outcome:
        """Write the label, then the manifest, where all chunks can be had; then the snapshot exists."""

    @abstractmethod
    def bury(self, id: str, stamp: str, label: bytes) -> Outcome:
        """Write the label that says that a snapshot was deleted."""

    def documents(self, wanted: Sequence[tuple[str, str | None]]) -> list[Documents | CasvaultError]:
        """Return what `manifest` and `label` return for each id and stamp, None for no stamp, or what they raise."""
        found: list[Documents | CasvaultError] = []
        for id, stamp in wanted:
            try:
                found.append(Documents(self.manifest(id), self.label(id, stamp) if stamp is not None else None))
            except (DamageError, NotFound) as error:
                found.append(error)
        return found

    def prepare(self, id: str, digests: Collection[str], done: str | None, asked: Collection[str]) -> Standing:
        """Announce ``digests`` for ``id``, withdraw what was announced for ``done``, then tell how ``asked`` stand.

        Where there is a link, nothing of it waits for the answer to the one before.
        """
        self.announce(id, digests)
        if done is not None:
            self.withdraw(done)
        return self.standing(asked)

    def conclude(self, commit: Commit, digests: Collection[str]) -> tuple[Outcome, Standing]:
        """Settle, commit, and tell how the ``digests`` stand then; raises what settling raises.

        Where that raises, a commit may have been tried all the same, which looks at every chunk.
        """
        self.settle()
        return self.commit(commit), self.standing(digests)

    def chunk(self, digest: str, size: int) -> bytes:
        """Return the plain bytes of one chunk, checked; raises MissingObject, DamageError."""
        from casvault.codecs import codec_of
        from casvault.digest import digest_of
        from casvault.objects import Frame

        found = [name for name in self.closure([digest]) if name.digest == digest]
        if not found:
            raise MissingObject(f"{self.title} lacks object {digest[:12]}.")
        with closing(self.read([[Wanted(found[0], alone=True)]])) as read:
            arrivals = [arrival for portion in read for arrival in portion]
        if [arrival.name.digest for arrival in arrivals] != [digest]:
            raise DamageError(f"{self.title} sent other objects than it was asked for.")
        frame = Frame.parse(bytes(arrivals[0].data), digest)
        if frame.base is not None or frame.plain_size != size:
            raise DamageError(f"object {digest[:12]} was sent otherwise than it was asked for.")
        try:
            plain = codec_of(frame.codec).decode(frame.payload, frame.plain_size, frame.layout, None)
        except FormatError as error:
            raise DamageError(f"object {digest[:12]} was sent damaged: {error}.") from error
        if digest_of(plain) != digest:
            raise DamageError(f"object {digest[:12]} was sent with the bytes of another one.")
        return bytes(plain)

    def usage(self, ids: Sequence[str], heads: Sequence[Head]) -> Usage:
        """Return what the vault takes, and what deleting the snapshots ``ids`` together would free.

        ``heads`` are the snapshots that are known to be there.
        """
        raise UsageError(f"what {self.title} takes cannot be told from here.")

    def attend(self, progress: Progress) -> None:  # noqa: B027 - most wait for nobody
        """Have ``progress`` told of waits that may take long, and asked whether to go on with them."""

    def reconnect(self) -> None:  # noqa: B027 - most have no link that could break
        """Reach it anew where the link to it broke; raises BrokenLink where that may work later."""

    @abstractmethod
    def close(self) -> None:
        """End the connection, and what it still works on."""

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

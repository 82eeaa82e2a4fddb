"""From a remote's entry to the vault that it names, opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from casvault.errors import NoVault
from casvault.sync.remotes import RemoteEntry
from casvault.vault.vault import VAULT_FOLDER, Vault, default_threads, open_vault

if TYPE_CHECKING:
    from casvault.sync.remote import Remote

__all__ = ["connect"]


def connect(entry: RemoteEntry, threads: int | None = None, near: Vault | None = None, *, make: bool = False) -> Remote:
    """Return the vault that a remote names; raises NoVault, UnsupportedVault, UsageError, RemoteError.

    ``near`` is the vault here, which spares a bucket some questions. With ``make`` an empty prefix of a bucket will do:
    the first that is sent makes a vault there.
    """
    address = entry.address
    if address.store is not None:
        return _in_bucket(entry, threads or default_threads(), near, make)
    if address.host is not None:
        from casvault.sync.ssh import connect_by_ssh

        return connect_by_ssh(address, entry.program)
    from casvault.sync.local import LocalRemote

    path = Path(address.path)
    if not (path / "vault.json").exists() and (path / VAULT_FOLDER / "vault.json").is_file():
        path = path / VAULT_FOLDER
    try:
        backend, config = open_vault(path)
    except NoVault as error:
        if type(error) is NoVault and not path.exists():
            raise NoVault(
                f"there is no vault at {path}; is the disk there? `casvault init '{path}'` makes a vault."
            ) from None
        raise
    return LocalRemote(Vault(backend, config, path, threads))


def _in_bucket(entry: RemoteEntry, threads: int, near: Vault | None, make: bool) -> Remote:
    from casvault.backends.bucket import BucketBackend
    from casvault.backends.stores import open_store
    from casvault.sync.bucket import BucketRemote

    address = entry.address
    store = open_store(str(address.store), address.bucket, entry.options)
    return BucketRemote(BucketBackend(store, address.path, entry.url, threads), near, make=make, threads=threads)

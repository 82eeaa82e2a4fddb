"""An opened vault: its configuration, objects, manifests, labels and locks, and how things in it are named."""

from casvault.vault.config import VaultConfig
from casvault.vault.head import Head
from casvault.vault.live import LiveRecord
from casvault.vault.references import resolve_snapshot
from casvault.vault.vault import VAULT_FOLDER, Vault

__all__ = ["VAULT_FOLDER", "Head", "LiveRecord", "Vault", "VaultConfig", "resolve_snapshot"]

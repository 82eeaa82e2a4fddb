"""The Version panel: snapshots in a browser, on this machine.

Only here: the web framework. The panel knows what `casvault.api` offers, and holds no logic of vaults.
"""

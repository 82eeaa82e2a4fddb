"""An opened vault: its configuration, objects, manifests, labels and locks, and how things in it are named."""

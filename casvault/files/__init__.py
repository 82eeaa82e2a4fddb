"""What casvault needs of a file system: reading at an offset, safe names, durable writes, locks."""

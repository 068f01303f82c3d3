"""Which files a root has, and what changes on the disk."""

"""LanceDB: facts by content, manifests by root; memory first, the disk in batches, whole after a crash."""

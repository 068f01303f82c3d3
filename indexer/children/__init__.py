"""Processes that read, count and embed beside the service, niced."""

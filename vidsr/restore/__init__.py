"""Restorers: from a degraded frame and a prior to a restored frame."""

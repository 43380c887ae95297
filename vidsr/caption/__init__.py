"""Captioners: what is seen in a shot and how it is degraded, in words."""

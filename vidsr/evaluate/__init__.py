"""Measuring: what a restored picture or clip is worth against its clean reference."""

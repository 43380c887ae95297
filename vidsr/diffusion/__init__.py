"""Schedules, samplers, noise that belongs to the picture, and the warm start from the previous frame."""

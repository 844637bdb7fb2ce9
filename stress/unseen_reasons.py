"""Why targets do not show some outcomes: what stress/unseen.py looks up."""

REASONS = []

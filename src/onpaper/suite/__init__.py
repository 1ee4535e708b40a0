"""Driving a backend and judging what it did: declarations, the stage, plans and verdicts."""

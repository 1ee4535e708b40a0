"""Driving a backend once and keeping what happened: declarations, plays, the stage, runs."""

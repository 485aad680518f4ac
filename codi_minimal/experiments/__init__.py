"""Experiments that explain the method: each a command that trains, measures and writes a table."""

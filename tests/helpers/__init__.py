"""What tests share: checkpoints, an endpoint that adds up, AWS clients, README's text."""

from pathlib import Path

TESTS = Path(__file__).parents[1]
IMPORT_PATH = [str(TESTS), str(TESTS / "long")]
"""Folders from which a process that a long test starts imports what it shares with the test."""

"""The commands. Thin: each reads its flags, calls the part that does the work, and shows the result."""

from bemtevi.cli.app import main

__all__ = ["main"]

"""The command line: parsing, printing and exit codes. Heavy packages are imported inside commands only."""

from __future__ import annotations

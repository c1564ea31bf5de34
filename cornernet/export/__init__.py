"""Detectors that leave Python: other programs' formats."""

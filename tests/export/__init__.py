"""Tests of the package cornernet.export."""

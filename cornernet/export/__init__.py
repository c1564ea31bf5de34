"""Detectors that leave Python: other programs' formats."""

SUFFIXES = {"onnx": ".onnx", "pt2": ".pt2", "torchscript": ".torchscript", "aoti": ".pt2"}
"""What the names of files end in, by format."""

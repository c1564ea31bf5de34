"""The tests on device `sdaa`, of a card or of the simulator. Left out without torch_sdaa."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch_sdaa") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import torch  # noqa: F401
    import torch_sdaa  # noqa: F401

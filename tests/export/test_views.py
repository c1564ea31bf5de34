"""What happens to pixels in an exported graph: what happens to them in Python."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cornernet.config import Config, config_from_dict
from cornernet.inference.views import geometry_of, pad_multiple, place, prepare

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# Whole, halved, shrunk to a quarter, shrunk a little, enlarged, narrow.
SIZES = [(64, 96), (120, 160), (240, 320), (70, 101), (23, 31), (9, 150), (240, 160)]
SETTINGS = [
    ("--data.long_side", "80", "--test.flip", "true", "--test.pad_multiple", "16"),
    ("--test.pad_multiple", "1", "--test.scales", "[0.5]"),
    ("--test.pad_multiple", "32", "--test.scales", "[1.1]", "--data.long_side", "96"),
    ("--test.pad_multiple", "128", "--model.padding_color", "[0,10,255]"),
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_canvases_are_equal(settings: tuple[str, ...]) -> None:
    from cornernet.export.views import views_model

    config: Config = config_from_dict({}, settings)
    model = views_model(config, pad_multiple(config, 64), None, None)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for height, width in SIZES:
        pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        canvases, geometry = session.run(None, {session.get_inputs()[0].name: pixels[None]})
        view = prepare(pixels, config, 64).views[0]
        device = torch.device("cpu")
        wanted = place([view], config.model.canvas_color, device, config.test.flip)
        difference = np.abs(canvases - wanted.numpy())
        # The colour around a view is added and subtracted, which rounds. An average that lies
        # between two levels may become either.
        assert difference.max() <= 1 + 2e-5
        assert (difference > 2e-5).mean() < (5e-3 if 2 * view.pixels.shape[0] <= height else 1e-9)
        np.testing.assert_array_equal(geometry, geometry_of([view])[0].numpy())

"""MMDetection's numbers as fixtures.

A golden file is an npz with an entry `meta`, a JSON string that lists its cases. Every test here
loops over such a list, so that files of the same form with other seeds and sizes run through it
too: `pytest tests/golden --golden DIR`. Keys and colours there are MMDetection's: pictures are
BGR, ours are RGB; `bbox_head.` is our `head.`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cornernet.config import ModelConfig
from cornernet.model.detector import Detector
from cornernet.parts.corners.structures import Outputs, Targets
from cornernet.structures import Detections
from tests.golden.cases import (
    AllStacks,
    AssertSameDetections,
    BuildModel,
    Case,
    EmbeddingTargets,
    Golden,
    read_case,
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("golden_cases")
    if marker is None:
        return
    file, key, prefix = marker.args
    content = read_case(metafunc.config.getoption("golden"), file)
    cases = []
    if content is None:
        cases.append(pytest.param(None, marks=pytest.mark.skip(reason=f"there is no {file}.npz")))
    else:
        for index, meta in enumerate(content.meta[key]):
            name = meta.get("name", str(index))
            case = Case(content.arrays, meta, prefix.format(name=name, index=index))
            cases.append(pytest.param(case, id=name))
    metafunc.parametrize("case", cases)


@pytest.fixture(scope="session")
def golden_folder(pytestconfig: pytest.Config) -> Path:
    folder: Path = pytestconfig.getoption("golden")
    return folder


@pytest.fixture(scope="session")
def golden(golden_folder: Path) -> Golden:
    """A golden file by name; the test is skipped where the folder has none of that name."""
    files: dict[str, Case | None] = {}

    def read(file: str) -> Case:
        if file not in files:
            files[file] = read_case(golden_folder, file)
        content = files[file]
        if content is None:
            pytest.skip(f"there is no {file}.npz")
        return content

    return read


def our_key(key: str) -> str:
    return key.replace("bbox_head.", "head.", 1) if key.startswith("bbox_head.") else key


@pytest.fixture(scope="session")
def build_model() -> BuildModel:
    """A network of a golden file's `spec` with weights under MMDetection's keys."""

    def build(spec: dict[str, Any], state: dict[str, Tensor]) -> Detector:
        config = ModelConfig(
            stacks=spec["stacks"],
            stage_channels=spec["chans"],
            stage_blocks=spec["blocks"],
            feature_channels=spec["feat"],
        )
        model = Detector(config, spec["num_classes"])
        # A network of one stack there carries a block between stacks that nothing runs through.
        unused = "backbone.inters.0." if spec["stacks"] == 1 else "\0"
        model.load_state_dict({our_key(k): v for k, v in state.items() if not k.startswith(unused)})
        return model

    return build


@pytest.fixture(scope="session")
def all_stacks() -> AllStacks:
    """Maps of every stack in evaluation mode, where the detector itself gives the last only."""

    def run(model: Detector, normalised: Tensor) -> list[Outputs]:
        model.eval()
        model.head.training = True  # this module alone: BatchNorm inside it stays in evaluation
        with torch.no_grad():
            outputs: list[Outputs] = model.head(model.backbone(normalised))
        model.eval()
        return outputs

    return run


@pytest.fixture(scope="session")
def embedding_targets() -> EmbeddingTargets:
    """Targets that know only where objects lie, from [n, 2, 2]: ((y, x), (y, x)) per picture."""

    def build(matches: list[Tensor], width: int) -> Targets:
        joint = torch.cat(matches)
        image_index = torch.cat(
            [torch.full((len(match),), i, dtype=torch.int64) for i, match in enumerate(matches)]
        )
        cells = joint[:, :, 0] * width + joint[:, :, 1]
        nothing = [torch.zeros(len(matches), 1, 1, 1)] * 6
        objects = tuple(len(match) for match in matches)
        fields: list[Any] = [
            *nothing,
            image_index,
            *cells.unbind(1),
            *[torch.empty(0)] * 2,
            objects,
        ]
        return Targets(*fields)

    return build


@pytest.fixture(scope="session")
def assert_same_detections() -> AssertSameDetections:
    """Every wanted detection is found, and the order is the same but for almost equal scores."""

    def check(
        found: Detections,
        boxes: Tensor,
        scores: Tensor,
        labels: Tensor,
        box_tolerance: float,
        score_tolerance: float,
        swap: float = 1e-4,
    ) -> None:
        assert len(found) == len(scores)
        torch.testing.assert_close(found.scores, scores, rtol=0, atol=score_tolerance)
        free = torch.ones(len(found), dtype=torch.bool)
        for rank in range(len(scores)):
            near = (found.boxes - boxes[rank]).abs().amax(1) <= box_tolerance
            near &= free & (found.labels == labels[rank])
            candidates = near.nonzero().flatten()
            if not len(candidates):
                # It may have changed places with the first one beyond the limit per picture.
                assert scores[rank] - scores[-1] < swap, f"no detection like wanted number {rank}"
                continue
            place = int(candidates[(candidates - rank).abs().argmin()])
            free[place] = False
            gap = abs(float(scores[place] - scores[rank]))
            assert place == rank or gap < swap, f"wanted number {rank} came as number {place}"

    return check

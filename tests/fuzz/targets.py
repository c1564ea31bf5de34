"""The five targets: weights files, annotations, recipes, images and ops."""

from __future__ import annotations

import functools
import io
import json
import math
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from torch import Tensor

from cornernet.config import Config, ModelConfig, load_recipe
from cornernet.data.coco import CocoDataset
from cornernet.data.images import decode_image, image_size, quiet_opencv
from cornernet.data.layouts import all_splits
from cornernet.data.reader import read_split
from cornernet.errors import UserError
from cornernet.inference.evaluate import coco_evaluation
from cornernet.model.detector import Detector
from cornernet.weights.file import Weights, load_weights, save_weights
from cornernet_ops import reference
from cornernet_ops.testing import Case, assert_close, cases_of, random_values, special_values
from tests.fuzz.harness import Target
from tests.fuzz.mutate import broken_bytes, broken_data, odd_value

Random = np.random.Generator


def _choice(random: Random, values: Any) -> Any:
    return values[int(random.integers(0, len(values)))]


@functools.cache
def _weights() -> tuple[bytes, bytes, bytes]:
    """Files of ours, of the format before PyTorch 1.6, and of MMDetection's layout."""
    torch.manual_seed(0)
    model = ModelConfig(1, [4, 4], [1, 1], 4, 4, 4, num_classes=2)
    state = Detector(model, 2).state_dict()
    with TemporaryDirectory() as directory:
        path = Path(directory, "ours.pt")
        save_weights(Weights(state, ["cell", "plate"], Config(model=model)), path)
        ours = path.read_bytes()
    theirs = {"meta": {"CLASSES": ("a", "b"), "cfg": "mean=[1, 2, 3]"}, "state_dict": {
        key.replace("head.", "bbox_head.", 1) if key.startswith("head.") else key: value
        for key, value in state.items()
    }}  # fmt: skip
    files = []
    for content, zipped in ((torch.load(io.BytesIO(ours)), False), (theirs, True)):
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
        files.append(buffer.getvalue())
    return ours, files[0], files[1]


def check_weights(random: Random, directory: Path) -> None:
    """Broken bytes, a broken pickle in a good archive, or broken contents."""
    data = _choice(random, _weights())
    path = directory / "weights.pt"
    kind = random.random()
    if kind < 0.3:
        path.write_bytes(broken_bytes(data, random))
    elif kind < 0.8 and zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                is_pickle = name.endswith(".pkl")
                new.writestr(name, broken_bytes(content, random) if is_pickle else content)
    else:
        good = torch.load(io.BytesIO(_weights()[0]))
        torch.save(broken_data(good, random), path)
    try:
        load_weights(path).build_model()
    except UserError:
        pass


def _coco() -> dict[str, Any]:
    images = [{"id": n, "file_name": f"{n}.png", "width": 24, "height": 20} for n in (1, 2)]
    objects = [
        {"id": n, "image_id": 1 + n % 2, "category_id": 1 + n % 2, "bbox": [n, 2, 9, 8], "area": 72,
         "iscrowd": n % 3 == 0, "segmentation": [[1, 1, 5, 1, 5, 5]]}
        for n in range(1, 5)
    ]  # fmt: skip
    categories = [{"id": 1, "name": "cell"}, {"id": 2, "name": "plate"}]
    return {"images": images, "annotations": objects, "categories": categories}


_VOC = b"""<annotation><filename>1.png</filename><size><width>24</width><height>20</height>
<depth>3</depth></size><object><name>cell</name><difficult>0</difficult><bndbox><xmin>2</xmin>
<ymin>3</ymin><xmax>9</xmax><ymax>12</ymax></bndbox></object></annotation>"""
_YOLO = b"train: images/train\nval: images/val\nnames:\n  0: cell\n  1: plate\n"


def check_annotations(random: Random, directory: Path) -> None:
    """A dataset in one of three formats, of which one file is broken."""
    kind = random.random()
    small = cv2.imencode(".png", np.zeros((20, 24, 3), np.uint8))[1].tobytes()
    if kind < 0.7:
        folders = ["train"]
        content = json.dumps(broken_data(_coco(), random)).encode()
        if kind < 0.3:
            content = broken_bytes(json.dumps(_coco()).encode(), random)
        _write(directory / "annotations" / "instances_train.json", content)
    elif kind < 0.85:
        folders = ["JPEGImages"]
        _write(directory / "Annotations" / "1.xml", broken_bytes(_VOC, random))
        _write(directory / "ImageSets" / "Main" / "train.txt", b"1\n")
    else:
        folders = ["images/train", "images/val"]
        broken = int(random.integers(0, 2))
        _write(directory / "data.yaml", broken_bytes(_YOLO, random) if broken else _YOLO)
        label = b"0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.1 0.1\n"
        label = label if broken else broken_bytes(label, random)
        _write(directory / "labels" / "train" / "1.txt", label)
    for folder in folders:
        for name in ("1.png", "2.png"):
            _write(directory / folder / name, small)
    try:
        for name, files in all_splits(directory).items():
            dataset = CocoDataset(directory, read_split(files))
            for index in range(len(dataset)):
                dataset.load(index)
            dataset.summary()
            assert name
            coco_evaluation(dataset, [])
    except UserError:
        pass


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def check_recipe(random: Random, directory: Path) -> None:
    """A recipe with broken values or bytes, changed by broken words."""
    good = _choice(random, _recipes())
    path = directory / "recipe.yaml"
    if random.random() < 0.5:
        text = yaml.safe_dump(good, sort_keys=False).encode()
        path.write_bytes(broken_bytes(text, random))
    else:
        content = broken_data(good, random)
        try:
            path.write_text(yaml.safe_dump(content), encoding="utf-8", errors="surrogatepass")
        except yaml.YAMLError:
            path.write_text(repr(content), encoding="utf-8", errors="surrogatepass")
    section = _choice(random, sorted(good))
    words = [f"--{section}.{_choice(random, sorted(good[section]))}={odd_value(random)}"]
    try:
        load_recipe(str(path), words if random.random() < 0.3 else [])
    except UserError:
        pass


@functools.cache
def _recipes() -> tuple[dict[str, Any], ...]:
    plain = load_recipe("tiny").to_dict()
    full = {name: keys for name, keys in plain.items() if isinstance(keys, dict)}
    return full, {"train": full["train"]}, {"model": full["model"], "test": full["test"]}


@functools.cache
def _images() -> tuple[bytes, ...]:
    random = np.random.default_rng(0)
    colour = random.integers(0, 256, (18, 23, 3), np.uint8)
    smooth = cv2.resize(colour[:4, :4], (40, 30))
    files = []
    for image in (colour, smooth, colour[..., 0], colour.astype(np.uint16) * 257):
        for suffix in (".png", ".jpg", ".bmp", ".tiff", ".webp", ".jp2", ".ppm", ".gif"):
            try:
                with quiet_opencv:
                    done, data = cv2.imencode(suffix, image)
            except cv2.error:
                continue
            if done:
                files.append(data.tobytes())
    done, data = cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    return (*files, data.tobytes())


def check_image(random: Random, directory: Path) -> None:
    """A broken image file."""
    data = broken_bytes(_choice(random, _images()), random)
    try:
        image = decode_image(data, apply_exif=random.random() < 0.5)
    except UserError:
        pass
    else:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    if random.random() < 0.1:
        path = directory / "image"
        path.write_bytes(data)
        image_size(path, apply_exif=True)


OPS = (
    "corner_pool", "corner_pool_pair", "corner_peaks", "corner_decode", "corner_targets",
    "soft_nms", "center_targets", "crop_resize", "corner_pool_add", "center_pool",
)  # fmt: skip
# What an op may raise for arguments that its contract does not allow.
_REFUSED = (ValueError, RuntimeError, TypeError, NotImplementedError, IndexError)
_LARGEST_CASE = 2**16


@functools.cache
def _cases(op: str) -> tuple[Case, ...]:
    def size(case: Case) -> int:
        return sum(item.numel() for item in case.args if isinstance(item, Tensor))

    return tuple(case for case in cases_of(op) if size(case) <= _LARGEST_CASE)


def _broken_argument(value: Any, random: Random) -> Any:
    if not isinstance(value, Tensor):
        # Of its type, to which the dispatcher would convert it.
        kinds = {
            bool: (True, False), int: (0, 1, -1, 2, 3, 7, 100, -(2**31), 2**62),
            float: (0.0, -1.0, 0.5, 1.0, 1e30, -1e30, math.inf, math.nan), str: ("", "top", "x"),
        }  # fmt: skip
        return _choice(random, kinds[type(value)]) if type(value) in kinds else value
    match int(random.integers(0, 8)):
        case 0:
            return value[..., : int(random.integers(0, 3))]
        case 1:
            return value.to(_choice(random, (torch.float16, torch.float64, torch.int64)))
        case 2:
            return value.unsqueeze(0)
        case 3 if value.ndim:
            return value[0] if len(value) else value
        case 4 if value.is_floating_point():
            return special_values(value.shape).to(value.dtype)
        case 5 if value.is_floating_point():
            return random_values(value.shape, seed=int(random.integers(0, 1000))).to(value.dtype)
        case 6 if value.ndim > 1:
            return value.transpose(0, -1)
        case _:
            return value if value.dtype == torch.bool else value * int(random.integers(-3, 4))


def check_op(random: Random, _: Path) -> None:
    """An op with broken arguments: compiled and reference take or refuse them alike."""
    op = _choice(random, OPS)
    case = _choice(random, _cases(op))
    args, kwargs = list(case.args), dict(case.kwargs)
    for _number in range(int(random.integers(1, 3))):
        if args and (not kwargs or random.random() < 0.8):
            place = int(random.integers(0, len(args)))
            args[place] = _broken_argument(args[place], random)
        elif kwargs:
            name = _choice(random, sorted(kwargs))
            kwargs[name] = _broken_argument(kwargs[name], random)
    broken = Case(op, tuple(args), kwargs)
    results: list[Any] = []
    for function in (getattr(torch.ops.cornernet, op), getattr(reference, op)):
        try:
            results.append(broken.call(function))
        except _REFUSED:
            results.append(None)
    native, expected = results
    assert (native is None) == (expected is None), f"{op}: only one of both refuses {broken.args}"
    values = [item for item in (*args, *kwargs.values()) if isinstance(item, Tensor)]
    if native is not None and all(
        bool(item.isfinite().all()) and (not item.numel() or item.abs().max() < 1e4)
        for item in values
    ):
        assert_close(native, expected, torch.float16)


TARGETS = {
    target.name: target
    for target in (
        Target("weights", check_weights, _weights),
        Target("annotations", check_annotations),
        Target("recipes", check_recipe, _recipes),
        Target("images", check_image, _images),
        Target("ops", check_op, lambda: [_cases(op) for op in OPS]),
    )
}

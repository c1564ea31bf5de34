"""The settings of a run: what a recipe may hold, with units, defaults and checks.

Every section is a frozen dataclass whose docstring describes each setting; the command line's help
is made from it. A range is checked when a section is built; types are checked where values come
in, in `parse`. A message begins with the dotted name of its setting, such as "train.epochs".
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from cornernet.config.checks import LONGEST_SIDE, require, require_at_least, require_at_most
from cornernet.config.inference import TestConfig
from cornernet.config.model import ModelConfig

VERSION = 2
"""The newest `Config.version`."""

_LONGEST_TIMEOUT = 1440.0
# Far beyond what any machine has: more is a slip of the pen, and would take all memory before
# anything else could be found.
_MOST_PROCESSES, _MOST_EPOCHS = 4096, 10**6


@dataclass(frozen=True)
class DataConfig:
    """What is read and how it is loaded.

    Attributes:
        train_split: split to learn from, as the dataset calls it or as the start of its name.
        val_split: split to evaluate on during training.
        train_annotations: annotations to learn from instead of a split: a JSON file, a directory
            of XML files or a data.yaml; "" finds them by the dataset's layout.
        train_images: directory of the images to learn from; "" finds it by the layout.
        val_annotations: as `train_annotations`, for evaluation during training.
        val_images: as `train_images`, for evaluation during training.
        val_share: share of the training images that is held out for validation if the dataset has
            no validation split, drawn with `train.seed`.
        strict: make a bad box (negative size, outside its image, unknown category) an error
            instead of dropping it with a warning, and likewise an image that lacks its end marker
            alone, instead of using it with a warning.
        on_error: what an image that cannot be read does: "stop" ends the run; "skip" leaves it out,
            names it in a warning, and ends the run when there are more than `max_skipped`. In
            training the next image of the split takes its place.
        max_skipped: largest share of a split's images that "skip" leaves out.
        filter_empty: leave images without any box out of training.
        min_size: leave images whose shorter side is below this many pixels out of training.
        long_side: resize every image, in training and in testing, so that its longer side has
            this many pixels; 0 leaves images as they are.
        workers: processes that load and augment; 0 loads in the training process.
    """

    train_split: str = "train"
    val_split: str = "val"
    train_annotations: str = ""
    train_images: str = ""
    val_annotations: str = ""
    val_images: str = ""
    val_share: float = 0.2
    strict: bool = False
    on_error: Literal["stop", "skip"] = "stop"
    max_skipped: float = 0.01
    filter_empty: bool = True
    min_size: int = 32
    long_side: int = 0
    workers: int = 3

    def __post_init__(self) -> None:
        require_at_least(0, "data", self, "min_size", "long_side", "workers", "max_skipped")
        require_at_most(LONGEST_SIDE, "data", self, "long_side")
        require_at_most(_MOST_PROCESSES, "data", self, "workers")
        require_at_most(1, "data", self, "max_skipped")
        require(
            0 <= self.val_share < 1,
            "data.val_share",
            f"must be from 0 to below 1, got {self.val_share}",
        )


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to training images.

    Attributes:
        crop_size: side in pixels of the square that the network is trained on.
        crop_ratios: the square is cut with a side of `crop_size` times one of these, drawn
            uniformly, and resized to `crop_size`.
        crop_border: the crop's centre keeps this many pixels, halved until it fits, from the
            image's edges.
        flip: probability of a horizontal flip.
        quarter_turns: rotate the square by 0, 90, 180 or 270 degrees at random; for images that
            have no upright position, such as those of a microscope or from above.
        brightness: largest absolute change added to all pixels (of 0..255); 0 disables.
        contrast: range of the factor on all pixels; [1, 1] disables.
        saturation: range of the factor on saturation; [1, 1] disables.
        hue: largest absolute change of hue in degrees; 0 disables.
        swap_channels: permute the colour channels at random, half of the time.
        sampling: how a square is cut out of an image. "crop": as `crop_ratios` says.
            "reference", as in CornerNet-Saccade: an object is drawn, the image resized so that the
            object gets a random size within its class of sizes (see `model.object_sizes`), and a
            square of `crop_size` cut around the object.
        smallest_object: objects whose longer side has fewer pixels in the square are difficult:
            their corners are neither wanted nor penalised. Acts with "reference".
        least_visible: objects of which at most this share of the area is in the square are
            difficult, too.
    """

    crop_size: int = 511
    crop_ratios: list[float] = field(
        default_factory=lambda: [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
    )
    crop_border: int = 128
    flip: float = 0.5
    quarter_turns: bool = False
    brightness: float = 32.0
    contrast: list[float] = field(default_factory=lambda: [0.5, 1.5])
    saturation: list[float] = field(default_factory=lambda: [0.5, 1.5])
    hue: float = 18.0
    swap_channels: bool = True
    sampling: Literal["crop", "reference"] = "crop"
    smallest_object: int = 16
    least_visible: float = 0.5

    def __post_init__(self) -> None:
        require_at_least(16, "augment", self, "crop_size")
        require_at_most(LONGEST_SIDE, "augment", self, "crop_size")
        require_at_least(1, "augment", self, "crop_border", "smallest_object")
        require_at_least(0, "augment", self, "brightness", "hue")
        require(
            bool(self.crop_ratios) and min(self.crop_ratios) > 0,
            "augment.crop_ratios",
            f"must be one or more positive factors, got {self.crop_ratios}",
        )
        require(
            0 <= self.flip <= 1,
            "augment.flip",
            f"must be a probability from 0 to 1, got {self.flip}",
        )
        require(
            0 <= self.least_visible < 1,
            "augment.least_visible",
            f"must be a share from 0 to below 1, got {self.least_visible}",
        )
        for key in ("contrast", "saturation"):
            limits = getattr(self, key)
            require(
                len(limits) == 2 and 0 <= limits[0] <= limits[1],
                f"augment.{key}",
                f"must be [low, high] with 0 <= low <= high, got {limits}",
            )


@dataclass(frozen=True)
class LossConfig:
    """Weights and shapes of the training losses (equations 1 to 5 of the paper).

    Attributes:
        focal_alpha: exponent on the probability in the focal loss.
        focal_beta: exponent of the penalty reduction around corners.
        gaussian_iou: corners moved within the Gaussian's radius still give boxes of at least this
            overlap with the ground truth.
        radius_formula: year of the formula of this radius: 2019, or 2018, before CornerNet
            corrected it, with which CenterNet was trained; that one gives larger radii.
        center_sigma: the Gaussians around centres have a deviation of (2r + 1) divided by this, of
            the radius r: 6 as around corners, or 5, wider, as in CenterNet.
        pull_weight: weight of pulling both embeddings of an object together.
        push_weight: weight of pushing the embeddings of different objects apart.
        offset_weight: weight of the offset loss.
        center_weight: weight of the centres' heat-map, for networks with the part "centers".
        attention_weight: weight of the loss of the part "attention".
        embedding_batch: pull and push count as their mean over the images of the whole batch
            times this number. MMDetection sums them over the images of one GPU, so its recipes
            correspond to the number of images per GPU in their name. Not with "paper".
        normalize: how losses are summed. "mmdet": the mean over both kinds of corners, summed over
            stacks. "paper": the sum over both kinds of corners, averaged over stacks; pull and
            push are means over images. For two stacks the focal and the offset loss are the
            same in both. "original": as "paper" with `embedding_batch`, and the offset loss is a
            mean over objects, as in CornerNet-Lite and CenterNet.
        ignore_crowds: cells in a region annotated as a crowd of a class (`iscrowd`) are not taken
            for places without corners of that class, since what stands there was not annotated.
    """

    focal_alpha: float = 2.0
    focal_beta: float = 4.0
    gaussian_iou: float = 0.3
    radius_formula: int = 2019
    center_sigma: float = 6.0
    pull_weight: float = 0.1
    push_weight: float = 0.1
    offset_weight: float = 1.0
    center_weight: float = 1.0
    attention_weight: float = 1.0
    embedding_batch: float = 6.0
    normalize: Literal["mmdet", "paper", "original"] = "mmdet"
    ignore_crowds: bool = True

    def __post_init__(self) -> None:
        require_at_least(
            0, "loss", self, "focal_alpha", "focal_beta",
            "pull_weight", "push_weight", "offset_weight", "center_weight",
            "attention_weight", "embedding_batch",
        )  # fmt: skip
        require(
            0 < self.gaussian_iou < 1,
            "loss.gaussian_iou",
            f"must be an overlap between 0 and 1, got {self.gaussian_iou}",
        )
        require(
            self.center_sigma > 0, "loss.center_sigma", f"must be positive, got {self.center_sigma}"
        )
        require(
            self.radius_formula in (2018, 2019),
            "loss.radius_formula",
            f"must be 2018 or 2019, got {self.radius_formula}",
        )


# What `train.log_to` may name.
SERVICES = ("mlflow", "wandb")


@dataclass(frozen=True)
class TrainConfig:
    """The training run.

    Attributes:
        init: weights to start from: a file of this package, MMDetection or an original repository;
            "shapes", weights of the recipe `tiny` that travel with the package, learnt from
            generated images; "auto", such weights where the package has some of this network; ""
            starts at random. For other classes than the file's, the convolutions that depend on the
            classes start at random, or as those of the file's one class.
        epochs: passes over the training split.
        batch_size: images in a step of the optimiser, over all processes together; each takes its
            share.
        micro_batch: images that a process puts through the network at a time; their gradients are
            added up to those of the whole batch, so only memory and BatchNorm's statistics notice.
            Where there are enough of them, shares are whole micro-batches. 0: the process's whole
            share, or as much of it as the device has memory for.
        checkpoint_activations: keep only few activations for backward and compute the others
            again: less memory for about a third more time.
        learning_rate: Adam's learning rate after warm-up.
        weight_decay: decoupled weight decay (AdamW); 0 is plain Adam.
        clip_norm: largest L2 norm of all gradients together; 0 disables clipping.
        warmup_steps: steps over which the learning rate rises linearly.
        warmup_start: share of the learning rate at the first step.
        schedule: "step" multiplies the learning rate by `gamma` at each of `milestones`;
            "cosine" lets it fall along a half cosine to `gamma` of its value at the end.
        milestones: epochs after which "step" lowers the learning rate.
        gamma: see `schedule`.
        precision: fp32, bf16 (autocast), fp16 (autocast with a gradient scaler), or auto: bf16
            where the device computes in it natively, fp32 elsewhere.
        ema_decay: decay per step of the moving average of the weights that is evaluated and
            saved; 0 disables it.
        eval_every: epochs between evaluations; the last epoch is always evaluated; 0: only it.
        patience: evaluations in a row without a higher AP after which the run ends; 0: it ends
            with the last epoch alone.
        log_every: steps between lines in metrics.jsonl and in the log.
        log_to: services that get the records, too: "mlflow", "wandb"; their packages must be
            installed. TensorBoard needs no setting: its files are written where it is installed.
        checkpoint_minutes: minutes between checkpoints within an epoch; 0: at the end of each
            epoch alone.
        keep_checkpoints: how many of the newest checkpoints are kept, beside the best weights.
        timeout_minutes: how long a process waits for others that do not answer before it ends the
            run: at the start, in a step and after a validation.
        seed: seed of weights, order of images and augmentation.
        channels_last: keep activations in NHWC order, which convolutions prefer on most devices.
    """

    init: str = ""
    epochs: int = 210
    batch_size: int = 48
    micro_batch: int = 0
    checkpoint_activations: bool = False
    learning_rate: float = 5e-4
    weight_decay: float = 0.0
    clip_norm: float = 35.0
    warmup_steps: int = 500
    warmup_start: float = 1 / 3
    schedule: Literal["step", "cosine"] = "step"
    milestones: list[int] = field(default_factory=lambda: [180])
    gamma: float = 0.1
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    ema_decay: float = 0.0
    eval_every: int = 1
    patience: int = 0
    log_every: int = 50
    log_to: list[str] = field(default_factory=list)
    checkpoint_minutes: float = 10.0
    keep_checkpoints: int = 2
    timeout_minutes: float = 10.0
    seed: int = 0
    channels_last: bool = True

    def __post_init__(self) -> None:
        require_at_most(_MOST_EPOCHS, "train", self, "epochs", "batch_size", "warmup_steps")
        require_at_least(1, "train", self, "epochs", "batch_size", "log_every", "keep_checkpoints")
        require_at_least(
            0, "train", self, "weight_decay", "clip_norm", "warmup_steps", "gamma", "eval_every",
            "patience", "seed", "micro_batch", "checkpoint_minutes",
        )  # fmt: skip
        require(
            self.learning_rate > 0,
            "train.learning_rate",
            f"must be positive, got {self.learning_rate}",
        )
        unknown = sorted(set(self.log_to) - set(SERVICES))
        require(
            not unknown,
            "train.log_to",
            f"must hold names of {', '.join(SERVICES)}, got {', '.join(unknown)}",
        )
        require(
            0 < self.timeout_minutes <= _LONGEST_TIMEOUT,
            "train.timeout_minutes",
            f"must be above 0 and at most {_LONGEST_TIMEOUT:g}, got {self.timeout_minutes}",
        )
        for key in ("warmup_start", "ema_decay"):
            value = getattr(self, key)
            require(0 <= value <= 1, f"train.{key}", f"must be from 0 to 1, got {value}")


@dataclass(frozen=True)
class RuntimeConfig:
    """How the machine is used; changes no result.

    Attributes:
        threads: CPU threads per process for tensor operations; 0 chooses from the processors that
            this process may use.
        max_megapixels: millions of pixels that an image may have: one that has more is refused
            before it is decoded, since a small file can hold enough to fill the memory. It takes up
            to 12 bytes of memory a pixel.
    """

    threads: int = 0
    max_megapixels: int = 250

    def __post_init__(self) -> None:
        require_at_least(0, "runtime", self, "threads")
        require_at_least(1, "runtime", self, "max_megapixels")
        require_at_most(_MOST_PROCESSES, "runtime", self, "threads")
        # OpenCV's own limit is 2^30 pixels.
        require_at_most(1073, "runtime", self, "max_megapixels")


@dataclass(frozen=True)
class Config:
    """All settings of a run, by section.

    Attributes:
        recipe: name of the recipe this configuration started from.
        version: what its settings mean. In 1, in files that do not say, `train.batch_size` is the
            number of images of each process.
        model: the network.
        data: what is read.
        augment: random changes to training images.
        loss: the losses' weights and shapes.
        train: the training run.
        test: from the network's maps to detections.
        runtime: how the machine is used.
    """

    recipe: str = ""
    version: int = VERSION
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    test: TestConfig = field(default_factory=TestConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def __post_init__(self) -> None:
        sizes, zooms = self.model.object_sizes, self.test.zoom_sizes
        if self.augment.sampling == "reference":
            classes = [self.augment.smallest_object, *sizes[:-1], self.augment.crop_size - 1]
            require(
                sorted(classes) == classes,
                "augment.crop_size",
                "must be above model.object_sizes but for the last, and these not below "
                f"augment.smallest_object, where augment.sampling is reference; got "
                f"{self.augment.crop_size}, {sizes} and {self.augment.smallest_object}",
            )
        if "attention" not in self.model.parts:
            return
        require(
            len(zooms) == len(sizes),
            "test.zoom_sizes",
            f"must have as many entries as model.object_sizes, {sizes}, got {zooms}",
        )
        require(
            self.test.scales == [1.0],
            "test.scales",
            "must be [1.0] for a network that looks at crops, which has test.view_sizes instead, "
            f"got {self.test.scales}",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings."""
        return dataclasses.asdict(self)


SECTIONS: dict[str, type] = {
    "model": ModelConfig,
    "data": DataConfig,
    "augment": AugmentConfig,
    "loss": LossConfig,
    "train": TrainConfig,
    "test": TestConfig,
    "runtime": RuntimeConfig,
}

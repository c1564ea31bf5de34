"""Recipes, overrides and the sentences that wrong settings get."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from cornernet.config import (
    SECTIONS,
    AugmentConfig,
    Config,
    LossConfig,
    ModelConfig,
    TrainConfig,
    config_from_dict,
    load_recipe,
    recipes,
    save_config,
    with_overrides,
)
from cornernet.config import TestConfig as Settings
from cornernet.errors import UserError

MMDETECTION = "cornernet_hourglass104_{}-210e-mstest_coco"
PICTURES_PER_GPU = {"8xb6": 6, "10xb5-crop511": 5, "32xb3": 3}


def recipe_file(folder: Path, text: str, name: str = "mine") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", sorted(recipes()))
def test_recipe_loads_and_keeps_its_name(name: str) -> None:
    assert load_recipe(name).recipe == name


def test_recipes_of_mmdetection_and_the_small_one_are_there() -> None:
    wanted = {"tiny", *(MMDETECTION.format(gpus) for gpus in PICTURES_PER_GPU)}
    assert wanted <= set(recipes())


@pytest.mark.parametrize("gpus", PICTURES_PER_GPU)
def test_recipes_of_mmdetection_differ_in_the_pictures_per_gpu_alone(gpus: str) -> None:
    config = load_recipe(MMDETECTION.format(gpus))
    pictures = PICTURES_PER_GPU[gpus]
    assert (config.train.batch_size, config.loss.embedding_batch) == (pictures, pictures)
    as_first = with_overrides(config, ["--train.batch_size=6", "--loss.embedding_batch=6"])
    first = load_recipe(MMDETECTION.format("8xb6"))
    assert dataclasses.replace(as_first, recipe="") == dataclasses.replace(first, recipe="")


def test_recipe_of_mmdetection_has_its_settings() -> None:
    config = load_recipe(MMDETECTION.format("8xb6"))
    train, augment, test = config.train, config.augment, config.test
    assert (config.model.stacks, config.model.stage_blocks) == (2, [2, 2, 2, 2, 2, 4])
    assert config.model.stage_channels == [256, 256, 384, 384, 384, 512]
    assert (train.epochs, train.milestones, train.gamma) == (210, [180], 0.1)
    assert (train.learning_rate, train.weight_decay, train.clip_norm) == (5e-4, 0.0, 35.0)
    assert (train.warmup_steps, train.warmup_start) == (500, pytest.approx(1 / 3))
    assert (augment.crop_size, augment.crop_border, augment.flip) == (511, 128, 0.5)
    assert augment.crop_ratios == [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
    assert (augment.brightness, augment.hue) == (32.0, 18.0)
    assert augment.contrast == augment.saturation == [0.5, 1.5]
    assert (config.loss.pull_weight, config.loss.push_weight) == (0.1, 0.1)
    assert (config.loss.offset_weight, config.loss.gaussian_iou) == (1.0, 0.3)
    assert (test.topk, test.peak_kernel, test.distance_threshold) == (100, 3, 0.5)
    assert (test.nms, test.nms_sigma, test.nms_min_score) == ("gaussian", 0.5, 1e-3)
    assert (test.max_pairs, test.max_per_image, test.pad_multiple) == (1000, 100, 128)


def test_override_wins_over_the_recipe() -> None:
    config = load_recipe("tiny", ["--train.epochs", "3", "--augment.crop_ratios", "[1.0, 2.0]"])
    assert (config.train.epochs, config.augment.crop_ratios) == (3, [1.0, 2.0])
    assert config.train.batch_size == load_recipe("tiny").train.batch_size


def test_recipe_holds_only_what_differs_from_the_defaults(tmp_path: Path) -> None:
    config = load_recipe(recipe_file(tmp_path, "train: {epochs: 7}"))
    assert config == dataclasses.replace(Config(recipe="mine"), train=TrainConfig(epochs=7))


def test_empty_recipe_is_the_defaults(tmp_path: Path) -> None:
    assert load_recipe(recipe_file(tmp_path, "")) == Config(recipe="mine")


def test_recipe_changes_single_keys_of_its_base(tmp_path: Path) -> None:
    recipe_file(tmp_path, "train: {epochs: 7, batch_size: 2}\ntest: {topk: 9}", "below")
    config = load_recipe(recipe_file(tmp_path, "base: below\ntrain: {epochs: 8}"))
    assert (config.train.epochs, config.train.batch_size, config.test.topk) == (8, 2, 9)


def test_base_may_be_a_recipe_of_the_package(tmp_path: Path) -> None:
    config = load_recipe(recipe_file(tmp_path, "base: tiny\ntrain: {epochs: 8}"))
    tiny = load_recipe("tiny")
    assert (config.train.epochs, config.model) == (8, tiny.model)


def test_circle_of_bases_is_refused(tmp_path: Path) -> None:
    recipe_file(tmp_path, "base: mine", "other")
    with pytest.raises(UserError, match="found a circle"):
        load_recipe(recipe_file(tmp_path, "base: other"))


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UserError, match="'tinny', which is neither; did you mean 'tiny'"):
        load_recipe("tinny")


@pytest.mark.parametrize("text", ["train: [1, 2", "train: {epochs: 1", "\ttrain: 1"])
def test_file_that_is_not_yaml_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"mine\.yaml: expected YAML"):
        load_recipe(recipe_file(tmp_path, text))


def test_recipe_without_sections_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected sections with keys, got list"):
        load_recipe(recipe_file(tmp_path, "[1, 2]"))


def test_unknown_section_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mine\.yaml: no setting is called 'trian'.*'train'"):
        load_recipe(recipe_file(tmp_path, "trian: {epochs: 1}"))


def test_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"called 'train\.epoch'; did you mean 'train\.epochs'"):
        load_recipe(recipe_file(tmp_path, "train: {epoch: 1}"))


def test_section_that_is_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected train to be a section"):
        load_recipe(recipe_file(tmp_path, "train: 5"))


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("--train.epoch=3", r"did you mean 'train\.epochs'"),
        ("--trian.epochs=3", "did you mean 'train'"),
        ("train.epochs=3", "expected settings as --section.key value"),
        ("--train.epochs=three", "epochs"),
        ("--train.schedule=linear", "schedule"),
        ("--test.flip=perhaps", "flip"),
        ("--train.epochs=2.5", "epochs"),
    ],
)
def test_wrong_override_is_refused(word: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_recipe("tiny", [word])


def test_value_that_belongs_to_no_setting_is_refused() -> None:
    with pytest.raises(UserError, match="found '2' that belongs to none"):
        load_recipe("tiny", ["--train.epochs", "1", "2"])


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "stacks", 0),
        ("model", "embedding_channels", 0),
        ("model", "stage_channels", [8]),
        ("model", "stage_channels", [7, 8, 8, 8, 8, 8]),
        ("model", "stage_blocks", [1, 1, 1, 1, 1, 0]),
        ("data", "workers", -1),
        ("augment", "crop_size", 8),
        ("augment", "crop_ratios", []),
        ("augment", "crop_ratios", [1.0, 0.0]),
        ("augment", "crop_border", 0),
        ("augment", "flip", 1.5),
        ("augment", "contrast", [1.5, 0.5]),
        ("augment", "saturation", [0.5]),
        ("loss", "gaussian_iou", 1.0),
        ("loss", "push_weight", -0.1),
        ("train", "epochs", 0),
        ("train", "batch_size", 0),
        ("train", "learning_rate", 0.0),
        ("train", "learning_rate", float("nan")),
        ("train", "warmup_start", -0.5),
        ("train", "ema_decay", 1.5),
        ("test", "peak_kernel", 4),
        ("test", "topk", 0),
        ("test", "max_per_image", 0),
        ("test", "nms_sigma", 0.0),
        ("test", "scales", []),
        ("test", "scales", [1.0, -1.0]),
        ("test", "score_threshold", float("nan")),
    ],
)
def test_value_out_of_range_is_refused_by_name(section: str, key: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"{section}\.{key}: expected|{section}\.{key} and"):
        SECTIONS[section](**{key: value})


def test_plain_data_gives_the_same_configuration_back() -> None:
    config = load_recipe("tiny", ["--test.scales", "[0.5, 1.0]", "--train.seed=5"])
    assert config_from_dict(config.to_dict()) == config


def test_saved_configuration_is_a_recipe_of_the_same_settings(tmp_path: Path) -> None:
    config = load_recipe("tiny", ["--train.learning_rate=1e-5", "--model.num_classes=3"])
    save_config(config, tmp_path / "config.yaml")
    loaded = load_recipe(str(tmp_path / "config.yaml"))
    assert dataclasses.replace(loaded, recipe="tiny") == config


def test_saved_configuration_holds_every_setting(tmp_path: Path) -> None:
    save_config(Config(), tmp_path / "config.yaml")
    saved = yaml.safe_load((tmp_path / "config.yaml").read_text())
    for kind, section in ((ModelConfig, "model"), (LossConfig, "loss"), (Settings, "test")):
        assert set(saved[section]) == {item.name for item in dataclasses.fields(kind)}


def test_plain_data_with_a_value_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(UserError, match="configuration: .*crop_size"):
        config_from_dict({"augment": {"crop_size": "large"}})


def test_changed_copy_leaves_the_original() -> None:
    config = Config()
    assert with_overrides(config, ["--augment.flip=0"]).augment == AugmentConfig(flip=0)
    assert config == Config()


@pytest.mark.parametrize("section", SECTIONS)
def test_configuration_cannot_be_written_into(section: str) -> None:
    config = Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, section, None)
    part = getattr(config, section)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(part, dataclasses.fields(part)[0].name, None)


def test_every_setting_is_described() -> None:
    for kind in SECTIONS.values():
        described = kind.__doc__ or ""
        assert [f.name for f in dataclasses.fields(kind) if f"{f.name}:" not in described] == []


def test_a_list_can_be_appended_to() -> None:
    assert load_recipe("tiny", ["--test.scales+", "2"]).test.scales == [1.0, 2.0]

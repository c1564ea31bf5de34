"""Recipes, overrides and what is said of wrong settings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

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
    nearest,
    recipes,
    save_config,
    section_titles,
    settings,
    split_settings,
    with_overrides,
)
from cornernet.config import TestConfig as Settings
from cornernet.config.settings import RENAMED
from cornernet.errors import UserError
from tests.errors import raises

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
    number = int(gpus.partition("xb")[0])
    assert config.train.batch_size == number * pictures
    assert (config.train.micro_batch, config.loss.embedding_batch) == (pictures, pictures)
    as_first = with_overrides(
        config, ["--train.batch_size=48", "--train.micro_batch=6", "--loss.embedding_batch=6"]
    )
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
    assert (test.max_pairs, test.max_per_image, test.pad_multiple) == (1000, 100, 0)


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


def refused(values: Any, *words: str) -> UserError:
    """The error for nested plain data and words."""
    with pytest.raises(UserError) as error:
        config_from_dict(values, words)
    return error.value


def refused_file(folder: Path, text: str) -> UserError:
    """The error for a recipe file, which must name the file."""
    file = recipe_file(folder, text)
    with pytest.raises(UserError) as error:
        load_recipe(file)
    assert str(error.value).startswith(f"{file}: ")
    return error.value


def test_circle_of_bases_is_refused(tmp_path: Path) -> None:
    recipe_file(tmp_path, "base: mine", "other")
    with raises("circle", field="base") as error:
        load_recipe(recipe_file(tmp_path, "base: other"))
    assert error.value.field == "base" and "mine.yaml" in str(error.value)


def test_unknown_recipe_names_the_nearest() -> None:
    with raises("'tinny'", "'tiny'", field="recipe"):
        load_recipe("tinny")


def test_unknown_base_is_told_of_the_file_that_names_it(tmp_path: Path) -> None:
    error = refused_file(tmp_path, "base: tinny")
    assert error.field == "base" and "'tiny'" in error.message


@pytest.mark.parametrize("text", ["train: [1, 2", "train: {epochs: 1", "\ttrain: 1"])
def test_file_that_is_not_yaml_is_refused_by_name(tmp_path: Path, text: str) -> None:
    assert "expected YAML" in str(refused_file(tmp_path, text))


def test_recipe_without_sections_is_refused(tmp_path: Path) -> None:
    assert "list" in refused_file(tmp_path, "[1, 2]").message


@pytest.mark.parametrize(
    ("name", "suggestions"),
    [
        ("train.epoch", ["train.epochs"]),
        ("trian.epochs", ["train.epochs"]),
        ("trian.epoch", ["train.epochs"]),
        ("train.crop_size", ["augment.crop_size"]),
        ("train.crop-size", ["augment.crop_size"]),
        ("epochs", ["train.epochs"]),
        ("flip", ["augment.flip", "test.flip"]),
        ("batch_size", ["train.batch_size", "test.batch_size"]),
        ("learningrate", ["train.learning_rate"]),
        ("trian", ["train"]),
        ("train.qqq", []),
        ("qqq.qqq", []),
        ("qqq", []),
    ],
)
def test_name_that_is_no_setting_finds_the_nearest(name: str, suggestions: list[str]) -> None:
    assert nearest(name) == suggestions


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"trian": {"epochs": 1}}, "trian", "mean train"),
        ({"epochs": 1}, "epochs", "mean train.epochs"),
        ({"train": {"epoch": 1}}, "train.epoch", "mean train.epochs"),
        ({"train": {"qqq": 1}}, "train.qqq", "train.init, train.epochs"),
        ({"qqq": {"qqq": 1}}, "qqq", "model, data, augment"),
        ({1: {}}, "1", "sections"),
        ({"train": 5}, "train", "train.init"),
        ({"train": None}, "train", "nothing"),
        ({"recipe": 5}, "recipe", "text"),
    ],
)
def test_keys_that_do_not_exist_are_refused(
    tmp_path: Path, values: dict[Any, Any], field: str, words: str
) -> None:
    error = refused(values)
    assert error.field == field and words in error.message and error.source is None
    if field != "recipe":  # which a file does not set
        error = refused_file(tmp_path, yaml.safe_dump(values))
        assert error.field == field and words in error.message


# For each type: what is taken, from a file or as a word, and what is not.
TAKEN: list[tuple[str, Any, Any]] = [
    ("train.epochs", 3, 3),
    ("train.epochs", "3", 3),
    ("train.learning_rate", 1, 1.0),
    ("train.learning_rate", 0.5, 0.5),
    ("train.learning_rate", "1e-5", 1e-5),  # text, says YAML
    ("test.flip", True, True),
    ("test.flip", "Yes", True),
    ("test.flip", "off", False),
    ("train.init", "", ""),
    ("train.init", "5", "5"),
    ("train.init", "null", "null"),
    ("train.schedule", "cosine", "cosine"),
    ("train.milestones", [1, 2], [1, 2]),
    ("train.milestones", "[1, 2]", [1, 2]),
    ("model.padding_color", [], []),
    ("model.parts", ["corners", "centers"], ["corners", "centers"]),
    ("model.parts", "[corners, centers]", ["corners", "centers"]),
    ("augment.crop_ratios", [1, 0.5], [1.0, 0.5]),
    ("augment.crop_ratios", (1, "5e-1"), [1.0, 0.5]),
    ("augment.crop_ratios", "[1, 5e-1]", [1.0, 0.5]),
]
REFUSED: list[tuple[str, Any, str]] = [
    ("train.epochs", 1.5, "a whole number"),
    ("train.epochs", 3.0, "a whole number"),
    ("train.epochs", "3.0", "a whole number"),
    ("train.epochs", "three", "a whole number"),
    ("train.epochs", True, "a whole number"),
    ("train.epochs", None, "a whole number, got nothing"),
    ("train.epochs", [3], "a whole number"),
    ("train.learning_rate", "fast", "a number"),
    ("train.learning_rate", False, "a number"),
    ("train.learning_rate", float("nan"), "a number"),
    ("train.learning_rate", 10**400, "a number"),
    ("train.learning_rate", {"a": 1}, "a number"),
    ("test.flip", "perhaps", "true or false"),
    ("test.flip", 1, "true or false"),
    ("test.flip", None, "true or false"),
    ("train.init", 5, "text"),
    ("train.init", None, "text"),
    ("train.precision", "half", "one of auto, fp32, bf16, fp16"),
    ("train.precision", 16, "one of auto, fp32, bf16, fp16"),
    ("train.milestones", 5, "a list of whole numbers such as [180]"),
    ("train.milestones", [1.5], "a list of whole numbers such as [180]"),
    ("augment.contrast", "0.5,1.5", "a list of numbers such as [0.5, 1.5]"),
    ("augment.contrast", "[0.5", "a list of numbers such as [0.5, 1.5]"),
    ("augment.contrast", [1, "a"], "a list of numbers such as [0.5, 1.5]"),
    ("augment.contrast", [1, [2]], "a list of numbers such as [0.5, 1.5]"),
    ("augment.contrast", [1, None], "a list of numbers such as [0.5, 1.5]"),
    ("model.padding_color", "black", "a list of numbers"),
    ("model.parts", "corners", "a list of words such as ['corners']"),
    ("model.parts", [1], "a list of words such as ['corners']"),
]


def nested(name: str, value: Any) -> dict[str, Any]:
    section, _, key = name.partition(".")
    return {section: {key: value}}


def value_of(config: Config, name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


@pytest.mark.parametrize(("name", "value", "wanted"), TAKEN)
def test_value_is_read_as_its_type(tmp_path: Path, name: str, value: Any, wanted: Any) -> None:
    plain = nested(name, value)
    file = recipe_file(tmp_path, json.dumps(plain))
    configs = [config_from_dict(plain), load_recipe(file)]
    if isinstance(value, str):
        configs += [config_from_dict({}, [f"--{name}={value}"]), load_recipe(file)]
    for config in configs:
        found = value_of(config, name)
        assert found == wanted and type(found) is type(wanted)
        if isinstance(found, list):
            assert [type(entry) for entry in found] == [type(entry) for entry in wanted]


@pytest.mark.parametrize(("name", "value", "wanted"), REFUSED)
def test_value_of_another_type_is_refused(
    tmp_path: Path, name: str, value: Any, wanted: str
) -> None:
    errors = [
        refused(nested(name, value)),
        refused_file(tmp_path, yaml.safe_dump(nested(name, value))),
    ]
    if isinstance(value, str):
        errors.append(refused({}, f"--{name}={value}"))
        errors.append(refused({}, f"--{name}", value))
    for error in errors:
        assert error.field == name and error.message.startswith(f"must be {wanted}")


def test_every_type_of_the_schema_is_tried() -> None:
    types = {str(setting.type) for setting in settings().values() if not setting.choices}
    assert {str(settings()[name].type) for name, *_ in TAKEN} >= types
    assert {str(settings()[name].type) for name, *_ in REFUSED} >= types


def test_value_out_of_range_is_told_with_its_file(tmp_path: Path) -> None:
    recipe_file(tmp_path, "train: {epochs: 0}", "below")
    file = recipe_file(tmp_path, "base: below\ntrain: {batch_size: 2}")
    with raises(field="train.epochs") as error:
        load_recipe(file)
    assert error.value.field == "train.epochs" and error.value.source == str(
        tmp_path / "below.yaml"
    )
    with raises(field="train.epochs") as error:
        load_recipe(file, ["--train.epochs", "-1"])
    assert error.value.field == "train.epochs" and error.value.source is None


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["train.epochs=3"], "'train.epochs=3'"),
        (["--train.epochs", "1", "2"], "'2'"),
        (["--epochs", "3"], "'--epochs'"),
    ],
)
def test_words_that_belong_to_no_setting_are_refused(words: list[str], key: str) -> None:
    assert f"found {key} that belongs to none" in str(refused({}, *words))


@pytest.mark.parametrize("words", [["--train.epochs"], ["--train.epochs", "--train.seed=1"]])
def test_setting_without_a_value_is_refused(words: list[str]) -> None:
    error = refused({}, *words)
    assert error.field == "train.epochs" and "followed by a whole number" in error.message


def test_words_about_settings_are_told_from_others() -> None:
    words = ["a", "--train.epochs", "3", "b", "--test.flip=true", "--resume", "--test.scales+", "2"]
    changes, others = split_settings(words)
    assert changes == ["--train.epochs", "3", "--test.flip=true", "--test.scales+", "2"]
    assert others == ["a", "b", "--resume"]


def test_later_words_win() -> None:
    assert config_from_dict({}, ["--train.epochs=4", "--train.epochs", "5"]).train.epochs == 5


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "stacks", 0),
        ("model", "embedding_channels", 0),
        ("model", "stage_channels", [8]),
        ("model", "stage_channels", [7, 8, 8, 8, 8, 8]),
        ("model", "stage_blocks", [1, 1, 1, 1, 1, 0]),
        ("model", "pixel_mean", [1.0, 2.0]),
        ("model", "pixel_std", [1.0, 2.0, 0.0]),
        ("data", "workers", -1),
        ("augment", "crop_size", 8),
        ("augment", "crop_ratios", []),
        ("augment", "crop_ratios", [1.0, 0.0]),
        ("augment", "crop_border", 0),
        ("augment", "flip", 1.5),
        ("augment", "smallest_object", 0),
        ("augment", "least_visible", 1.0),
        ("augment", "contrast", [1.5, 0.5]),
        ("augment", "saturation", [0.5]),
        ("loss", "gaussian_iou", 1.0),
        ("loss", "push_weight", -0.1),
        ("loss", "attention_weight", -0.1),
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
        ("test", "view_sizes", []),
        ("test", "zoom_sizes", [24, 0]),
        ("test", "location_score", float("nan")),
        ("test", "max_crops", -1),
        ("test", "crop_batch", 0),
        ("runtime", "threads", -1),
    ],
)
def test_value_out_of_range_is_refused_by_name(section: str, key: str, value: object) -> None:
    with raises("must", field=f"{section}.{key}"):
        SECTIONS[section](**{key: value})


def test_as_many_blocks_as_channels_are_needed() -> None:
    with raises("model.stage_blocks", field="model.stage_channels"):
        ModelConfig(stage_blocks=[1, 1])


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_renamed_setting_is_still_understood(tmp_path: Path, old: str, new: str) -> None:
    assert old not in settings()
    file = recipe_file(tmp_path, yaml.safe_dump(nested(old, 3)))
    assert value_of(load_recipe(file), new) == 3
    assert value_of(config_from_dict(nested(old, 3)), new) == 3
    assert value_of(config_from_dict(nested(new, 3), [f"--{old}", "4"]), new) == 4
    assert value_of(load_recipe(file, [f"--{new}=5"]), new) == 5


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
    for section, kind in SECTIONS.items():
        keys = {setting.key for setting in settings().values() if setting.section == section}
        assert keys == {item.name for item in dataclasses.fields(kind)}
    assert all(setting.description for setting in settings().values())
    assert set(section_titles()) == set(SECTIONS)
    # A continued line belongs to its setting.
    assert settings()["train.precision"].description.endswith(
        "computes in it natively, fp32 elsewhere"
    )


@pytest.mark.parametrize("entries", ["2", "[2]"])
def test_a_list_can_be_added_to(tmp_path: Path, entries: str) -> None:
    assert load_recipe("tiny", ["--test.scales+", entries]).test.scales == [1.0, 2.0]
    file = recipe_file(tmp_path, "test: {scales: [0.5]}")
    assert load_recipe(file, [f"--test.scales+={entries}"]).test.scales == [0.5, 2.0]
    assert Config().test.scales == [1.0]
    assert refused({}, "--train.epochs+", "2").field == "train.epochs"


@pytest.mark.parametrize(
    ("recipe", "steps"),
    [("cornernet_squeeze", 500_000), ("cornernet_saccade", 500_000),
     ("centernet52", 480_000), ("centernet104", 480_000)],
)  # fmt: skip
def test_schedules_of_the_family_are_the_papers(recipe: str, steps: int) -> None:
    config = load_recipe(recipe)
    per_epoch = 118_287 / config.train.batch_size  # of COCO's training images
    assert config.train.epochs * per_epoch == pytest.approx(steps, rel=0.005)
    assert config.train.milestones[0] * per_epoch == pytest.approx(450_000, rel=0.005)
    # What one of the papers' GPUs normalises and sums over.
    assert config.train.micro_batch == config.loss.embedding_batch
    assert (config.train.learning_rate, config.train.clip_norm) == (2.5e-4, 0)
    assert config.loss.normalize == "original"


@pytest.mark.parametrize(
    ("name", "value"),
    [("loss.radius_formula", "2020"), ("test.max_outside", "-1"), ("test.center_rule", "vote"),
     ("model.block", "wood"), ("model.corner_pooling", "double")],
)  # fmt: skip
def test_settings_of_the_family_are_checked(name: str, value: str) -> None:
    with raises("must be", field=name):
        load_recipe("tiny", [f"--{name}", value])


@pytest.mark.parametrize("value", ["inf", "-.inf", "nan", "1e999"])
@pytest.mark.parametrize("name", ["train.learning_rate", "train.clip_norm", "test.nms_sigma"])
def test_numbers_without_end_are_refused(name: str, value: str) -> None:
    with raises("must be a number", field=name):
        load_recipe("tiny", [f"--{name}={value}"])


@pytest.mark.parametrize(
    "setting",
    ["data.workers=1000000", "train.epochs=1000000000000", "test.pad_multiple=1000000000",
     "data.long_side=1000000000", "test.scales=[1e9]", "augment.crop_size=1000000",
     "model.stacks=1000000000", "model.stage_blocks=[100000000,1,1,1]"],
)  # fmt: skip
def test_absurd_settings_are_refused(setting: str) -> None:
    name = setting.partition("=")[0]
    with raises("must be", field=name):
        load_recipe("tiny", [f"--{setting}"])


LAUGH = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)
)
HOSTILE = {
    "nested": "[" * 100_000,
    "nested mappings": "{a: " * 5000,
    "deep": "train: " + "[" * 60 + "]" * 60,
    "aliases": LAUGH,
    "merges": MERGES,
    "circle": "train: &a [*a]\n",
    "date": "train: {epochs: 2001-99-99}\n",
    "digits": "train: {epochs: " + "9" * 5000 + "}\n",
    "key of numbers": "1: {2: 3}\n",
    "key of nothing": "train: {~: 3}\n",
    "key of a list": "? [a, b]\n: c\n",
    "large": "# " + "x" * 1_100_000,
    "binary": "\0\1\2",
    "tag": "!!python/object/apply:os.system ['touch sprung']\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_recipes_that_were_made_to_harm_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(HOSTILE[name])
    with pytest.raises(UserError) as caught:
        load_recipe(str(path))
    assert str(path) in str(caught.value) and len(str(caught.value)) < 2000


def test_aliases_of_reasonable_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "train: &t {epochs: 3}\ntest: {scales: &s [1, 2]}\naugment: {crop_ratios: *s}\n"
    )
    assert load_recipe(str(tmp_path / "a.yaml")).augment.crop_ratios == [1, 2]

"""Tags: the labels a classifier is sure of, whatever their place in the picture."""

import json
import math
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.classifiers import ORIGIN, random_network, write_classifier
from vidsr import api, build, config
from vidsr.caption.measured import MeasuredCaptioner
from vidsr.caption.tags import MAX_TAGS, THRESHOLD, Tagger, crops
from vidsr.errors import CheckpointError, ConfigError, MissingWeightsError
from vidsr.files import sha256_of
from vidsr.job.identity import job_key
from vidsr.models import mobilenet
from vidsr.models.mobilenet import SIDE, Classifier
from vidsr.types import Shot

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import fetch_tag_weights  # noqa: E402  # tools is a folder of programs, not a package
import packages  # noqa: E402
import tag_pack  # noqa: E402

PHOTOGRAPHS = sorted((ROOT / "tests" / "data" / "photographs").glob("*.jpg"))
SHOT = Shot(index=0, start=0, stop=2)

Pixels = NDArray[np.uint8]


def _photograph(index: int = 0, size: tuple[int, int] | None = None) -> Pixels:
    with Image.open(PHOTOGRAPHS[index]) as image:
        picture = image.convert("RGB")
        return np.asarray(picture.resize(size) if size else picture).transpose(2, 0, 1)


def _plain(value: int, *, width: int = 64, height: int = 64) -> Pixels:
    return np.full((3, height, width), value, dtype=np.uint8)


def _always(probabilities: Sequence[float]) -> Classifier:
    """A classifier that says the same of every picture; the labels are the letters of the alphabet."""
    network = random_network(len(probabilities))
    with torch.no_grad():
        network.classifier[1].weight.zero_()
        network.classifier[1].bias.copy_(torch.tensor(probabilities).log())
    return Classifier(network=network, labels=tuple("abcdefghijklmnopqrstuvwxyz"[: len(probabilities)]))


def _black_or_white() -> Classifier:
    """A classifier that tells a black picture from a white one."""
    network = random_network(2)
    linear = network.classifier[1]
    with torch.no_grad():
        linear.weight.copy_(torch.eye(2, linear.in_features))
        linear.bias.zero_()
    features: list[torch.Tensor] = []
    hook = linear.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0][0].clone()))
    black_or_white = Classifier(network=network, labels=("black", "white"))
    for value in (0, 255):
        black_or_white.probabilities(crops(_plain(value)))
    hook.remove()
    black, white = features
    direction = 20 * (white - black) / (white - black).square().sum()
    with torch.no_grad():
        linear.weight.copy_(torch.stack([-direction, direction]))
        middle = direction @ (black + white) / 2
        linear.bias.copy_(torch.stack([middle, -middle]))
    return black_or_white


def test_the_network_computes_what_that_of_transformers_computes() -> None:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    network = random_network(7)
    settings = MobileNetV2Config(tf_padding=False, layer_norm_eps=1e-5, num_labels=7)
    reference = MobileNetV2ForImageClassification(settings).eval()
    state = zip(reference.state_dict(), network.state_dict().values(), strict=True)
    reference.load_state_dict(dict(state))
    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(network(images), reference(images).logits)


def test_the_centre_is_cut_as_the_weights_were_evaluated() -> None:
    """Shorter side to 256, bilinear with antialiasing, the middle 224; mean and deviation of ImageNet."""
    picture = _photograph(size=(455, 303))
    image = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
    resized = image.resize((int(256 * 455 / 303), 256), Image.Resampling.BILINEAR)
    left, top = round((resized.width - 224) / 2), round((resized.height - 224) / 2)
    centre = np.asarray(resized.crop((left, top, left + 224, top + 224)))
    assert np.array_equal(crops(picture)[1], centre)

    classifier = Classifier(network=random_network(3), labels=("a", "b", "c"))
    deviation = torch.tensor([0.229, 0.224, 0.225])
    image_tensor = (torch.from_numpy(centre / 255) - torch.tensor([0.485, 0.456, 0.406])) / deviation
    with torch.inference_mode():
        wanted = classifier.network(image_tensor.permute(2, 0, 1)[None].float()).softmax(1)
    np.testing.assert_allclose(classifier.probabilities(centre[None]), wanted.numpy(), atol=1e-6)


@pytest.mark.parametrize("is_tall", [False, True])
def test_crops_reach_both_ends_of_the_long_side(is_tall: bool) -> None:
    wide = _plain(90, width=320, height=180)
    wide[0, :, :8] = 255
    wide[1, :, -8:] = 255
    squares = crops(wide.transpose(0, 2, 1) if is_tall else wide).astype(int)
    assert squares.shape == (3, SIDE, SIDE, 3)
    if is_tall:
        squares = squares.transpose(0, 2, 1, 3)
    first, centre, last = squares
    assert first[:, 0, 0].min() > 200
    assert last[:, -1, 1].min() > 200
    assert (centre == 90).all()


def test_a_square_has_the_centre_alone() -> None:
    assert crops(_photograph()).shape == (1, SIDE, SIDE, 3)


@pytest.mark.parametrize("size", [(1, 1), (2, 3000), (3000, 2), (300, 17)])
def test_odd_sizes_are_cut_too(size: tuple[int, int]) -> None:
    assert crops(_photograph(size=size)).shape[1:] == (SIDE, SIDE, 3)


def test_of_a_ribbon_only_the_middle_is_looked_at() -> None:
    """Otherwise a picture two pixels high would be resized to a hundred times its width."""
    ribbon = _plain(255, width=1000, height=100)
    ribbon[:, :, 300:700] = 90
    assert (crops(ribbon) == 90).all()


def test_bars_are_not_looked_at() -> None:
    picture = _photograph(size=(320, 134))
    boxed = np.pad(picture, ((0, 0), (23, 23), (0, 0)))
    assert np.array_equal(crops(boxed), crops(picture))


def test_a_tag_is_the_label_of_its_output() -> None:
    for index in range(4):
        probabilities = [0.02] * 4
        probabilities[index] = 0.94
        assert Tagger(_always(probabilities)).tags([_photograph()]) == ["abcd"[index]]


def test_what_is_not_likely_enough_is_no_tag() -> None:
    share = (1 - THRESHOLD) / 2
    assert Tagger(_always([share, THRESHOLD - 0.01, share + 0.01])).tags([_photograph()]) == []
    assert Tagger(_always([share, THRESHOLD + 0.01, share - 0.01])).tags([_photograph()]) == ["b"]


def test_the_likeliest_tags_come_first_and_no_more_than_five() -> None:
    probabilities = [0.02, 0.25, 0.08, 0.3, 0.05, 0.2, 0.1]
    tags = Tagger(_always(probabilities), threshold=0.0).tags([_photograph()])
    assert tags == ["d", "b", "f", "g", "c"]
    assert len(tags) == MAX_TAGS
    assert Tagger(_always(probabilities), threshold=0.15).tags([_photograph()]) == ["d", "b", "f"]


def test_the_pictures_of_a_shot_are_averaged() -> None:
    tagger = Tagger(_black_or_white())
    black, white = _plain(0), _plain(255)
    assert tagger.tags([white]) == ["white"]
    assert tagger.tags([black]) == ["black"]
    assert tagger.tags([white, white, black]) == ["white"]
    assert sorted(tagger.tags([white, black])) == ["black", "white"]


def test_both_ends_outvote_the_centre() -> None:
    """Looked at in the middle alone, this picture would be black."""
    dark = 60  # what is black outright would be taken for a bar
    picture = _plain(dark, width=3 * 64)
    picture[:, :, :64] = picture[:, :, -64:] = 255
    classifier = _black_or_white()
    centre = classifier.probabilities(crops(picture)[1:2])[0]
    assert classifier.labels[int(centre.argmax())] == "black"
    assert Tagger(classifier).tags([picture]) == ["white"]
    picture[:, :, -64:] = dark
    assert Tagger(classifier).tags([picture]) == ["black"], "one end outvoted the rest"


def test_tags_are_the_same_each_time_and_after_each_load(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "c.safetensors", [f"label {index}" for index in range(9)])
    pictures = [_photograph(0), _photograph(1)]
    first, second = (Tagger(mobilenet.load(path), threshold=0.0) for _ in range(2))
    tags = first.tags(pictures)
    assert len(tags) == MAX_TAGS
    assert first.tags(pictures) == second.tags(pictures) == tags


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    paths = [write_classifier(tmp_path / name) for name in ("one", "two")]
    assert sha256_of(paths[0]) == sha256_of(paths[1])
    assert sha256_of(write_classifier(tmp_path / "three", seed=1)) != sha256_of(paths[0])


def test_the_file_says_where_it_is_from(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "c.safetensors")
    with safe_open(path, framework="np") as file:
        content = json.loads(file.metadata()["classifier"])
    assert content["labels"] == ["cat", "dog", "snow"]
    assert content["origin"]["licence"] == ORIGIN.licence
    assert content["origin"]["weights_sha256"] == ORIGIN.weights_sha256


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "none.safetensors"
    with pytest.raises(MissingWeightsError, match=r"python tools/fetch_tag_weights\.py --output") as caught:
        Tagger.load(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 5


def _damaged(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("no weights")
        return
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    content, tensors = json.loads(metadata["classifier"]), load_file(path)
    if kind == "no metadata":
        save_file(tensors, path)
        return
    if kind == "other format":
        content["format"] = "mobilenet-v9/1"
    elif kind == "a label too many":
        content["labels"].append("one more")
    elif kind == "labels that are no text":
        content["labels"] = [1, 2, 3]
    elif kind == "a tensor is missing":
        del tensors["features.3.conv.0.0.weight"]
    elif kind == "half precision":
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    save_file(tensors, path, metadata={"classifier": json.dumps(content)})


@pytest.mark.parametrize(
    "kind",
    [
        "text",
        "no metadata",
        "other format",
        "a label too many",
        "labels that are no text",
        "a tensor is missing",
        "half precision",
    ],
)
def test_a_wrong_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "c.safetensors")
    _damaged(path, kind)
    with pytest.raises(CheckpointError, match=r"c\.safetensors") as caught:
        Tagger.load(path)
    assert caught.value.exit_code == 5


def test_the_captioner_puts_tags_beside_what_it_measures() -> None:
    plain = MeasuredCaptioner().caption(SHOT, [_photograph()])
    tagged = MeasuredCaptioner(tags_of=Tagger(_always([0.45, 0.1, 0.45])).tags).caption(SHOT, [_photograph()])
    assert (plain.high_level, plain.captioner) == ("", "measured/2")
    assert (tagged.high_level, tagged.captioner) == ("a, c", "measured+tags/2")
    assert tagged.low_level == plain.low_level


def test_without_a_sure_tag_the_captioner_says_nothing_of_what_is_seen() -> None:
    captioner = MeasuredCaptioner(tags_of=Tagger(_always([0.3, 0.3, 0.4 - 1e-3])).tags)
    assert captioner.caption(SHOT, [_photograph()]).high_level == ""


def _stages(**overrides: object) -> build.Stages:
    settings = {f"caption.{key}": value for key, value in overrides.items()}
    return build.build_stages(
        config.load(overrides={"restore.restorer": "bicubic", **settings}, environment={})
    )


def test_the_resolved_configuration_holds_the_digest_of_the_file(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "c.safetensors")
    stages = _stages(tags=str(path))
    assert stages.captioner.name == "measured+tags/2"
    assert stages.config["caption"]["tags"] == str(path)
    assert stages.config["caption"]["tags_sha256"] == sha256_of(path)
    again = _stages(tags=str(path), tags_sha256=sha256_of(path))
    assert again.config == stages.config


def test_other_weights_under_the_same_name_are_another_job(tmp_path: Path) -> None:
    keys = [
        job_key(
            input_sha256="0",
            config=_stages(tags=str(write_classifier(tmp_path / "c.safetensors", seed=seed))).config,
            weights="none",
            versions={},
        )
        for seed in (0, 1, 0)
    ]
    assert keys[0] == keys[2] != keys[1]


def test_a_file_of_another_digest_is_refused(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "c.safetensors")
    with pytest.raises(MissingWeightsError, match=rf"{sha256_of(path)}.*asks for {'0' * 64}"):
        _stages(tags=str(path), tags_sha256="0" * 64)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"captioner": "none", "tags": "c"}, r"caption\.tags: .*caption\.captioner=measured"),
        ({"captioner": "file", "file": "p.yaml", "tags": "c"}, r"caption\.tags: .*caption\.tags=null"),
        ({"tags_sha256": "0" * 64}, r"caption\.tags_sha256: .*there is none"),
        ({"tags": "c", "tags_sha256": "abc"}, r"caption\.tags_sha256"),
        ({"tag": "c"}, "did you mean tags"),
        ({"tags": 3}, r"caption\.tags"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _stages(**overrides)


def test_the_shots_of_a_video_are_tagged(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    mobilenet.save(path, _always([0.01, 0.98, 0.01]), ORIGIN)
    overrides = {"caption.tags": str(path), "restore.restorer": "bicubic"}
    _, priors, _ = api.describe(ROOT / "examples" / "sample.mp4", overrides=overrides)
    assert {prior.high_level for prior in priors} == {"b"}
    assert {prior.captioner for prior in priors} == {"measured+tags/2"}


def test_labels_are_read_without_running_the_file(tmp_path: Path) -> None:
    source = tmp_path / "_meta.py"
    labels = [f"label {index}" for index in range(1000)]
    source.write_text(f"raise SystemExit\n_OTHER = [1]\n_IMAGENET_CATEGORIES = {labels}\n")
    assert fetch_tag_weights.read_labels(source) == tuple(labels)


@pytest.mark.parametrize("content", ["_OTHER = []", "_IMAGENET_CATEGORIES = ['a', 'b']"])
def test_another_list_of_labels_is_refused(content: str, tmp_path: Path) -> None:
    source = tmp_path / "_meta.py"
    source.write_text(content)
    with pytest.raises(packages.ToolError, match=r"_meta\.py"):
        fetch_tag_weights.read_labels(source)


@pytest.mark.parametrize("length", [512, 513, 640, 768, 769, 1080, 2656])
def test_tiles_cover_a_photograph_and_overlap_by_half(length: int) -> None:
    starts = tag_pack.starts(length, 512)
    assert starts[0] == 0
    assert starts[-1] == length - 512
    assert all(0 < second - first <= 256 for first, second in pairwise(starts))
    assert len(starts) == 1 + math.ceil((length - 512) / 256)


def _pack(folder: Path) -> Path:
    folder.mkdir()
    shade = np.zeros((512, 1024, 3), dtype=np.uint8)
    shade[:, 512:] = 255
    Image.fromarray(shade).save(folder / "half.png")
    Image.fromarray(shade[:300, 700:1000]).save(folder / "small.png")
    manifest = {"pictures": [{"file": "half.png"}, {"file": "small.png"}]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_pack_is_tagged_tile_by_tile(tmp_path: Path) -> None:
    pack, weights = _pack(tmp_path / "pack"), tmp_path / "c.safetensors"
    mobilenet.save(weights, _black_or_white(), ORIGIN)
    assert tag_pack.main(["--pack", str(pack), "--weights", str(weights)]) == 0
    tiles = json.loads((pack / "tags.json").read_text())
    assert tiles["small.png"] == [{"top": 0, "left": 0, "size": 300, "tags": ["white"]}]
    first, _, last = tiles["half.png"]
    assert first == {"top": 0, "left": 0, "size": 512, "tags": ["black"]}
    assert last == {"top": 0, "left": 512, "size": 512, "tags": ["white"]}
    assert sorted(path.name for path in pack.iterdir()) == [
        "half.png",
        "manifest.json",
        "small.png",
        "tags.json",
    ]


def test_a_folder_that_is_no_pack_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = write_classifier(tmp_path / "c.safetensors")
    assert tag_pack.main(["--pack", str(tmp_path), "--weights", str(weights)]) == 1
    assert "not a pack" in capsys.readouterr().err
    assert not (tmp_path / "tags.json").exists()

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from app_folder import LABELS, make_app, make_build, target, untrained, write
from manifests import facts, manifest

from ofa_edge.bundle import samples
from ofa_edge.bundle.app import add_models, app_assets, remove_models
from ofa_edge.bundle.record import BUNDLE, read_bundle
from ofa_edge.bundle.samples import sample_set
from ofa_edge.data.dataset import Images
from ofa_edge.errors import ConfigError, DataError, GateError, OutputError, UnknownNameError, UsageError
from ofa_edge.files import sha256_bytes, sha256_file
from ofa_edge.records.manifest import FileRecord
from ofa_edge.supernet import zoo


@pytest.fixture
def app(tmp_path):
    return make_app(tmp_path / "app")


@pytest.fixture
def builds(tmp_path):
    """fp32 and int8."""
    return [make_build(tmp_path / name, quantised=name == "int8") for name in ("fp32", "int8")]


@pytest.fixture
def with_images(monkeypatch):
    """Sets what the builds' supernet carries as test images."""

    def install(images):
        def samples_of(manifest, count, class_names):
            return sample_set("tiny", images.sample(count), "noise: test images", len(class_names)), ""

        monkeypatch.setattr("ofa_edge.bundle.app.samples_of", samples_of)

    return install


def noise(count, seed=0):
    rng = np.random.default_rng(seed)
    return Images(rng.integers(0, 256, (count, 14, 14, 1), dtype=np.uint8), rng.integers(0, len(LABELS), count))


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def check_digests(app):
    """What `bundle.json` says is what lies there, and nothing else lies there."""
    assets = app_assets(app)
    there = content(assets)
    wanted = read_bundle(assets).files()
    assert set(there) == {*wanted, BUNDLE, ".ofa-edge.json"}
    assert all(sha256_bytes(there[name]) == digest for name, digest in wanted.items())


def test_models_and_samples_with_their_digests(app, builds, with_images):
    with_images(noise(40))
    done = add_models(app, builds, images=20)
    assert done.added == ("raspberry-pi-4-fp32", "raspberry-pi-4-int8")
    check_digests(app)
    value = json.loads((app_assets(app) / BUNDLE).read_bytes())
    assert value["schema"] == 1
    assert [model["samples"] for model in value["models"]] == ["tiny", "tiny"]
    (chosen,) = value["samples"]
    assert (chosen["count"], chosen["height"], chosen["width"], chosen["channels"]) == (20, 14, 14, 1)
    assert len((app_assets(app) / chosen["labels_file"]).read_bytes()) == 20


def test_the_same_call_twice_leaves_the_same_bytes(app, builds, with_images):
    with_images(noise(40))
    add_models(app, builds)
    first = content(app)
    done = add_models(app, builds)
    assert content(app) == first
    assert (done.added, done.unchanged) == ((), ("raspberry-pi-4-fp32", "raspberry-pi-4-int8"))


def test_the_order_of_calls_does_not_matter(tmp_path, builds, with_images):
    with_images(noise(40))
    first, second = make_app(tmp_path / "a"), make_app(tmp_path / "b")
    add_models(first, builds)
    for build in reversed(builds):
        add_models(second, [build])
    assert content(first) == content(second)


def test_removing_undoes_adding(app, builds, with_images):
    with_images(noise(40))
    add_models(app, builds[:1])
    before = content(app)
    add_models(app, builds[1:])
    assert remove_models(app, ["raspberry-pi-4-int8"]).removed == ("raspberry-pi-4-int8",)
    assert content(app) == before
    remove_models(app, ["raspberry-pi-4-fp32"])
    assert set(content(app_assets(app))) == {BUNDLE, ".ofa-edge.json"}
    with pytest.raises(UnknownNameError):
        remove_models(app, ["raspberry-pi-4-fp32"])


def test_duplicates_are_refused(app, builds, tmp_path):
    with pytest.raises(UsageError, match="two models of the name"):
        add_models(app, [builds[0], builds[0]])
    pixel = write(shutil.copytree(builds[0], tmp_path / "pixel"), target=target("fp32", name="pixel-4"))
    with pytest.raises(UsageError, match="the same model twice"):
        add_models(app, [builds[0], pixel])
    assert not app_assets(app).exists()
    add_models(app, builds[:1])
    with pytest.raises(UsageError, match="the same model twice"):
        add_models(app, builds[:1], name="other")
    with pytest.raises(UsageError, match="is already bundled"):
        add_models(app, builds[1:], name="raspberry-pi-4-fp32")
    assert add_models(app, builds[1:], name="raspberry-pi-4-fp32", replace=True).added
    check_digests(app)
    with pytest.raises(UsageError, match="--name fits one build"):
        add_models(app, builds, name="x")


def test_one_bad_build_and_nothing_is_changed(app, builds, tmp_path):
    add_models(app, builds[:1])
    before = content(app)
    bad = make_build(tmp_path / "bad", quantised=True, **untrained())
    for wrong in (bad, tmp_path / "nothing"):
        with pytest.raises((GateError, ConfigError)):
            add_models(app, [builds[1], wrong])
        assert content(app) == before


def test_a_damaged_asset_is_not_carried_on(app, builds):
    add_models(app, builds[:1])
    model = app_assets(app) / "models/raspberry-pi-4-fp32/model.tflite"
    model.write_bytes(model.read_bytes()[:-5])
    with pytest.raises(ConfigError, match="a bundled file was changed") as caught:
        add_models(app, builds[1:])
    assert "--remove raspberry-pi-4-fp32" in caught.value.hint
    model.unlink()
    with pytest.raises(ConfigError, match="a bundled file is missing"):
        add_models(app, builds[1:])
    add_models(app, builds[:1])  # the same build heals it
    check_digests(app)
    model.unlink()
    remove_models(app, ["raspberry-pi-4-fp32"])
    check_digests(app)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["models"][0].update(file="../../../etc/passwd"),
        lambda value: value["models"][0].update(name=".."),
        lambda value: value["models"][0].update(samples="nowhere"),
        lambda value: value["models"].append(value["models"][0]),
        lambda value: value.update(schema=2),
        lambda value: value.update(extra=1),
    ],
)
def test_a_bundle_that_somebody_changed_is_refused(app, builds, change):
    add_models(app, builds[:1])
    path = app_assets(app) / BUNDLE
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(ConfigError, match="not a bundle of this version"):
        add_models(app, builds[1:])


def test_somebody_elses_assets_are_left_alone(app, builds):
    app_assets(app).mkdir(parents=True)
    (app_assets(app) / "mine.txt").write_text("mine")
    with pytest.raises(OutputError):
        add_models(app, builds)
    assert content(app_assets(app)) == {"mine.txt": b"mine"}


@pytest.mark.parametrize("link", ["models", "models/raspberry-pi-4-fp32", "models/raspberry-pi-4-fp32/labels.txt"])
def test_a_link_among_the_assets_leads_nowhere(app, builds, tmp_path, link):
    add_models(app, builds[:1])
    there, elsewhere = app_assets(app) / link, tmp_path / "elsewhere"
    there.rename(elsewhere)
    there.symlink_to(elsewhere)
    before = {elsewhere: elsewhere.read_bytes()} if elsewhere.is_file() else content(elsewhere)
    for call in (lambda: remove_models(app, ["raspberry-pi-4-fp32"]), lambda: add_models(app, builds[1:])):
        with pytest.raises(OutputError, match="is a link"):
            call()
    assert before == ({elsewhere: elsewhere.read_bytes()} if elsewhere.is_file() else content(elsewhere))


@pytest.mark.parametrize("link", ["app/src/main/assets", "app/src/main", "app/src"])
def test_an_app_whose_assets_are_elsewhere_is_refused(app, builds, tmp_path, link):
    add_models(app, builds[:1])
    elsewhere = tmp_path / "elsewhere"
    (app / link).rename(elsewhere)
    (app / link).symlink_to(elsewhere)
    before = content(elsewhere)
    for call in (lambda: remove_models(app, ["raspberry-pi-4-fp32"]), lambda: add_models(app, builds[1:])):
        with pytest.raises(OutputError, match="is a link"):
            call()
    assert content(elsewhere) == before


def test_a_call_that_was_killed_half_way_is_told(app, builds):
    add_models(app, builds[:1])
    (app_assets(app) / BUNDLE).unlink()
    with pytest.raises(ConfigError, match="cut off"):
        add_models(app, builds[1:])
    shutil.rmtree(app_assets(app))
    add_models(app, builds)
    check_digests(app)


def test_not_the_apps_folder(tmp_path, builds):
    with pytest.raises(ConfigError, match="not the Android demo's folder"):
        add_models(tmp_path, builds)


def test_calls_at_the_same_time_lose_nothing(app, tmp_path, builds):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda build: add_models(app, [build]), builds))
    assert len(read_bundle(app_assets(app)).names) == 2
    check_digests(app)


def test_two_supernets_of_one_name_keep_their_images_apart(app, builds, with_images):
    with_images(noise(40))
    add_models(app, builds[:1])
    with_images(noise(40, seed=1))
    add_models(app, builds[1:])
    names = [model.samples for model in read_bundle(app_assets(app)).models]
    assert names[0] == "tiny"
    assert names[1].startswith("tiny-")
    check_digests(app)
    remove_models(app, ["raspberry-pi-4-fp32"])
    check_digests(app)


def test_images_that_blow_the_app_up_are_told(app, builds, with_images):
    with_images(Images(np.zeros((500, 128, 128, 1), np.uint8), np.zeros(500, np.int64)))
    assert add_models(app, builds).notes == ("samples tiny take 8 MB: --images N takes fewer",)
    assert add_models(app, builds, images=20).notes == ()


def test_sample_images_of_a_sorted_set_show_every_class():
    labels = np.repeat(np.arange(5), 100)
    images = Images(np.zeros((500, 2, 2, 1), np.uint8), labels)
    assert np.bincount(images.sample(25).labels).tolist() == [5] * 5
    assert len(images.sample(600)) == 500


def test_labels_of_many_classes_take_two_bytes():
    images = Images(np.zeros((2, 2, 2, 1), np.uint8), np.array([1, 258]))
    assert sample_set("many", images, "", 300).labels == b"\x01\x00\x02\x01"
    with pytest.raises(DataError):
        sample_set("many", images, "", 258)


def test_why_there_are_no_samples():
    assert samples.samples_of(manifest(), 0, LABELS) == (None, "no sample images asked for")
    chosen, reason = samples.samples_of(manifest(), 5, LABELS)
    assert chosen is None
    assert "unknown supernet 'fashion'" in reason


def test_the_default_supernets_images_are_the_builds():
    package = zoo.open_supernet(zoo.DEFAULT)
    images = FileRecord(path="supernet/images.npz", role="images", sha256=sha256_file(package.file(zoo.IMAGES)), size=1)
    supernet = facts()["supernet"].model_copy(update={"name": zoo.DEFAULT})
    chosen, reason = samples.samples_of(manifest(supernet=supernet, inputs=(images,)), 500, package.labels)
    assert reason == ""
    assert (chosen.entry.count, chosen.entry.name) == (500, "fashion-mnist")
    assert "MIT" in chosen.entry.source
    other = images.model_copy(update={"sha256": "0" * 64})
    chosen, reason = samples.samples_of(manifest(supernet=supernet, inputs=(other,)), 500, package.labels)
    assert chosen is None
    assert "is not what the build used" in reason

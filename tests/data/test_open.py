import sys
import textwrap

import numpy as np
import pytest
from tiny_data import cifar_batches, cifar_binary, write_classes, write_files

from ofa_edge.data.open import dataset_names, open_dataset
from ofa_edge.data.registered import ENTRY_POINTS
from ofa_edge.errors import ConfigError, DataError, UnknownNameError

# What the package of the tests holds: a data set of every kind that is asked for below.
MODULE = '''
import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset

SHAPES = ((8, 12, 3), (30, 9, 3), (16, 16, 3))

class Squares(Dataset):
    """Item i is of class i % 3; its red is 10 * i."""

    classes = ["a", "b", "c"]

    def __init__(self, folder, train):
        self.folder, self.count = folder, 9 if train else 6

    def __len__(self):
        return self.count

    def array(self, index):
        pixels = np.full(SHAPES[index % 3], 7, np.uint8)
        pixels[..., 0] = 10 * index
        return pixels

    def image(self, index):
        return Image.fromarray(self.array(index))

    def label(self, index):
        return index % 3

    def __getitem__(self, index):
        return self.image(index), self.label(index)

class Arrays(Squares):
    def image(self, index):
        return self.array(index)

    def label(self, index):
        return np.int32(index % 3)

class Tensors(Squares):
    def image(self, index):
        return torch.from_numpy(self.array(index)).permute(2, 0, 1)

    def label(self, index):
        return torch.tensor(index % 3)

class Stream(IterableDataset):
    def __init__(self, folder, train):
        self.inner = Squares(folder, train)

    def __iter__(self):
        for turn in range(100):
            for index in range(len(self.inner)):
                yield self.inner[index]

class Grey(Squares):
    def image(self, index):
        return self.array(index)[..., 0]

class Floats(Squares):
    def image(self, index):
        return torch.zeros(3, 8, 8)

class Strange(Squares):
    def image(self, index):
        return np.zeros((5, 6, 7), np.uint8)

class Text(Squares):
    def image(self, index):
        return "a.png"

class Single(Squares):
    def __getitem__(self, index):
        return self.image(index)

class Broken(Squares):
    def __getitem__(self, index):
        if index == 4:
            raise OSError("disk gone")
        return super().__getitem__(index)

class TooHigh(Squares):
    def label(self, index):
        return 3 if index == 5 else index % 3

class Negative(Squares):
    def label(self, index):
        return index % 3 - 1

class Words(Squares):
    def label(self, index):
        return "cat"

class FloatLabels(Squares):
    def label(self, index):
        return 1.0

class Gap(Squares):
    classes = ["a", "b", "c", "never"]

class OneClass(Squares):
    classes = ["a"]

    def label(self, index):
        return 0

class Unnamed(Squares):
    classes = None

class Empty(Squares):
    def __len__(self):
        return 0

class OtherClasses(Squares):
    def __init__(self, folder, train):
        super().__init__(folder, train)
        self.classes = ["a", "b", "c" if train else "d"]

def needs_folder(folder, train):
    return Squares(folder / "inside", train) if (folder / "inside").is_dir() else missing(folder)

def missing(folder):
    raise FileNotFoundError(folder)

def no_dataset(folder, train):
    return [(0, 0)]

not_callable = 3
'''
NAMES = [
    line.split("(")[0].split()[1]
    for line in MODULE.splitlines()
    if line.startswith("class ") or line.startswith("def n")
] + ["not_callable"]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installed distribution: a module beside its metadata, on the path."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "tiny_registered.py").write_text(MODULE)
    info = site / "tiny_registered-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-registered\nVersion: 1.0\n")
    lines = [f"{name} = tiny_registered:{name}" for name in NAMES]
    lines += ["no-module = not_there:make", "cifar-10 = tiny_registered:Squares"]
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n" + "\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("tiny_registered", None)


@pytest.mark.parametrize("name", ["Squares", "Arrays", "Tensors"])
def test_pictures_arrays_and_tensors_of_any_size(installed, name):
    seen = []
    data = open_dataset(name, size=12, on_progress=lambda done, total: seen.append((done, total)))
    assert (data.name, data.class_names, data.channels) == (name, ("a", "b", "c"), 3)
    assert data.train.pixels.shape == (9, 12, 12, 3)
    assert data.train.labels.tolist() == [0, 1, 2] * 3
    assert np.array_equal(data.train.pixels[:, 5, 5, 0], 10 * np.arange(9))
    assert (data.test.pixels[..., 1:] == 7).all()
    assert seen[-1] == (15, 15)
    assert open_dataset(name, size=8, channels=1).channels == 1


def test_what_can_only_be_gone_through(installed):
    data = open_dataset("Stream", size=4)
    assert (len(data.train), len(data.test)) == (900, 600)  # more than are made room for at first
    assert np.array_equal(data.train.pixels[:, 0, 0, 0], np.tile(10 * np.arange(9), 100))
    assert np.array_equal(data.train.labels, np.tile(np.arange(9) % 3, 100))


def test_grey_stays_grey_unless_colour_is_asked_for(installed):
    assert open_dataset("Grey", size=8).channels == 1
    assert open_dataset("Grey", size=8, channels=3).channels == 3


def test_classes_without_names_are_numbered(installed):
    assert open_dataset("Unnamed", size=8).class_names == ("0", "1", "2")


def test_the_folder_reaches_the_entry_point(installed, tmp_path):
    with pytest.raises(DataError, match="cannot be opened") as caught:
        open_dataset("needs_folder", tmp_path, size=8)
    assert str(tmp_path) in caught.value.why
    (tmp_path / "inside").mkdir()
    assert len(open_dataset("needs_folder", tmp_path, size=8).train) == 9


@pytest.mark.parametrize(
    ("name", "what", "why"),
    [
        ("Floats", "pixels of type float32", "training part, item 0: they have been scaled"),
        ("Strange", "not an image", "[5, 6, 7]"),
        ("Text", "not an image", "str"),
        ("Single", "not (image, label)", "item 0"),
        ("Broken", "cannot be read", "item 4: OSError: disk gone"),
        ("TooHigh", "out of range", "item 5: 3, and there are 3 classes"),
        ("Negative", "out of range", "item 0: -1"),
        ("Words", "not a number", "item 0: str cat"),
        ("FloatLabels", "not a number", "item 0: float 1.0"),
        ("Gap", "without images", "'never' (3)"),
        ("OneClass", "too few classes", "has 1"),
        ("Empty", "no images", "training part is empty"),
        ("OtherClasses", "classes differ", "'OtherClasses'"),
        ("no_dataset", "not a torch Dataset", "list"),
    ],
)
def test_data_that_do_not_fit_are_told_by_item(installed, name, what, why):
    with pytest.raises(DataError) as caught:
        open_dataset(name, size=8)
    assert what in caught.value.what
    assert why in caught.value.why


def test_the_right_test_part_is_named(installed):
    """Fault in the training part only: the test part of six items reaches item 5 as well."""
    with pytest.raises(DataError) as caught:
        open_dataset("TooHigh", size=8)
    assert "training part" in caught.value.why


def test_entry_points_that_do_not_load(installed):
    for name in ("no-module", "not_callable"):
        with pytest.raises(ConfigError, match=f"'{name}'") as caught:
            open_dataset(name, size=8)
        assert "does not load" in caught.value.what
    info = installed / "another-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\nSquares = another:make\n")
    with pytest.raises(ConfigError, match="two packages bring dataset 'Squares'") as caught:
        open_dataset("Squares", size=8)
    assert "another:make" in caught.value.why


def test_unknown_names_come_with_the_nearest(installed):
    assert set(NAMES) < set(dataset_names())
    for typo, name in (("cifar10", "cifar-10"), ("Square", "Squares"), ("imagefolder", "image-folder")):
        with pytest.raises(UnknownNameError) as caught:
            open_dataset(typo, size=8)
        assert name in caught.value.why
        assert name in caught.value.hint


def test_built_in_names_are_never_another_packages(installed, tmp_path):
    assert dataset_names().count("cifar-10") == 1
    write_files(tmp_path / "cifar", cifar_binary(cifar_batches()))
    assert len(open_dataset("cifar-10", tmp_path / "cifar", size=8).train) == 20


def test_the_built_in_ones(tmp_path):
    write_classes(tmp_path / "classes", count=10)
    data = open_dataset("image-folder", tmp_path / "classes", size=8, channels=1, held_out_share=0.3, split_seed=1)
    assert (data.train.pixels.shape, len(data.test)) == ((14, 8, 8, 1), 6)
    write_files(tmp_path / "cifar", cifar_binary(cifar_batches()))
    assert open_dataset("cifar-10", tmp_path / "cifar", size=8).train.pixels.shape == (20, 32, 32, 3)
    for name in ("cifar-10", "image-folder"):
        with pytest.raises(DataError, match="no data folder"):
            open_dataset(name, size=8)
    with pytest.raises(DataError, match="Fashion-MNIST"):
        open_dataset("fashion-mnist", tmp_path / "nowhere", size=8)


def test_the_example_of_the_documentation_is_text_that_parses():
    from ofa_edge.data import registered

    code = registered.__doc__.split("`my_birds.py`")[1].split("and, in its")[0]
    compile(textwrap.dedent(code), "my_birds.py", "exec")
    assert ENTRY_POINTS in registered.__doc__

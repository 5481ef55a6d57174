"""Folders of images with boxes or masks, as tools write them and as people break them."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image, ImageOps
from squares import HEIGHT, NAMES, SIDE, WIDTH, picture, save_coco, save_masked, save_yolo

from ofa_edge.data.annotated import read_marked, read_pictures
from ofa_edge.data.annotations import UNLABELLED
from ofa_edge.data.fitted import GREY, Frame, read_fitted
from ofa_edge.data.mask_folder import find_masks, read_masked
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import DataError


def fitting(fit, size=64, width=None):
    return Preprocessing(size, 3, (0.0,) * 3, (255.0,) * 3, width, fit)


@pytest.mark.parametrize("save", [save_coco, save_yolo])
def test_both_layouts_say_the_same(save, tmp_path):
    found = read_marked(save(tmp_path / "data", {"train": 3, "val": 5}))
    assert found.names == NAMES
    assert [len(part) for part in (found.train, found.test)] == [3, 5]
    rng = np.random.default_rng(0)
    drawn = [picture(rng) for _ in range(8)]
    for each, (_, squares, _) in zip((*found.train, *found.test), drawn, strict=True):
        boxes = [(x, y, x + SIDE, y + SIDE) for _, x, y in squares]
        scale = 1 if each.size else np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
        np.testing.assert_allclose(np.array(each.corners) * scale, boxes)
        assert list(each.classes) == [kind for kind, _, _ in squares]


def test_classes_are_in_the_order_of_their_numbers_whichever_part_shows_them(tmp_path):
    folder = save_coco(tmp_path / "data", {"train": 6, "val": 6})
    path = folder / "annotations" / "instances_train.json"
    content = json.loads(path.read_text())
    content["annotations"] = [each for each in content["annotations"] if each["category_id"] == 90]
    path.write_text(json.dumps(content))
    found = read_marked(folder)
    assert found.names == ("red", "green")  # 4 and 90, though the first part has no red one
    assert found.known == ("squares", "red", "green")


def move(path, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)


def test_roboflows_layout_and_images_in_one_folder(tmp_path):
    folder = save_coco(tmp_path / "data", {"train": 2, "val": 2})
    wanted = read_marked(folder)
    for part in ("train", "val"):
        move(folder / "annotations" / f"instances_{part}.json", folder / part / "_annotations.coco.json")
    (folder / "val").rename(folder / "valid")
    found = read_marked(folder)
    assert [each.corners for each in found.test] == [each.corners for each in wanted.test]
    other = save_coco(tmp_path / "other", {"val": 2})
    move(other / "val", other / "images")
    assert len(read_marked(other).test) == 2


def test_yolos_other_layout_polygons_and_empty_images(tmp_path):
    folder = save_yolo(tmp_path / "data", {"train": 2, "val": 2})
    for part in ("train", "val"):
        for kind in ("images", "labels"):
            move(folder / kind / part, folder / part / kind)
    (folder / "val" / "labels" / "0000.txt").write_text("1 0.1 0.2 0.5 0.2 0.3 0.6\n")
    (folder / "val" / "labels" / "0001.txt").unlink()
    (folder / "data.yaml").write_text("names: [red, green]\nnc: 2\n")
    found = read_marked(folder)
    assert found.test[0].corners == ((0.1, 0.2, 0.5, 0.6),)
    assert found.test[1].corners == ()


def coco_of(folder):
    path = folder / "annotations" / "instances_val.json"
    return path, json.loads(path.read_text())


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda content: content.pop("images"), "annotations without 'images'"),
        (lambda content: content["annotations"][0].update(image_id=99999), "an object of an unknown image"),
        (lambda content: content["annotations"][0].update(category_id=99999), "an object of an unknown category"),
        (lambda content: content["annotations"][0].update(bbox=[1, 2, -3, 4]), "a box that is none"),
        (lambda content: content["annotations"][0].update(bbox=[1, 2, float("nan"), 4]), "cannot read the annotations"),
        (lambda content: content["annotations"][0].update(bbox="1 2 3 4"), "a box that is none"),
        (lambda content: content["annotations"][0].update(image_id=[]), "an object of an unknown image"),
        (lambda content: content["images"].append(content["images"][0]), "cannot be told from others"),
        (lambda content: content["images"][0].update(file_name="../../etc/passwd"), "an image without a file"),
        (lambda content: content["images"][0].update(file_name="gone.png"), "1 of 2 images .* are missing"),
        (lambda content: content["images"][0].update(width=None), "an image without its size"),
        (lambda content: content["categories"][0].update(name="green"), "two categories of one name"),
        (lambda content: content.update(annotations={}), "annotations without 'annotations'"),
    ],
)
def test_a_damaged_coco_file_is_refused_with_its_name(change, what, tmp_path):
    folder = save_coco(tmp_path / "data", {"val": 2})
    path, content = coco_of(folder)
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=what) as caught:
        read_marked(folder)
    assert path.name in caught.value.why + caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize("text", ["{", "[]", '{"images": ' + "[" * 100000])
def test_what_is_no_json_is_refused(text, tmp_path):
    folder = save_coco(tmp_path / "data", {"val": 2})
    coco_of(folder)[0].write_text(text)
    with pytest.raises(DataError):
        read_marked(folder)


def test_boxes_without_extent_are_left_out_and_said(tmp_path):
    folder = save_coco(tmp_path / "data", {"val": 2})
    path, content = coco_of(folder)
    before = len(content["annotations"])
    content["annotations"][0]["bbox"] = [3, 4, 0, 5]
    path.write_text(json.dumps(content))
    found = read_marked(folder)
    assert sum(len(each.classes) for each in found.test) == before - 1
    assert "1 objects without extent" in found.notes[0]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("0 0.5 0.5 0.1", "no object"),
        ("zero 0.5 0.5 0.1 0.1", "no object"),
        ("2 0.5 0.5 0.1 0.1", "unknown class"),
        ("0.5 0.5 0.5 0.1 0.1", "unknown class"),
        ("0 64 48 16 16", "outside its picture"),
        ("0 nan 0.5 0.1 0.1", "no object"),
    ],
)
def test_a_line_that_is_no_object_is_named(line, what, tmp_path):
    folder = save_yolo(tmp_path / "data", {"train": 2, "val": 2})
    (folder / "labels" / "val" / "0001.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(DataError, match=what) as caught:
        read_marked(folder)
    assert "0001.txt, line 2" in caught.value.why


def test_names_are_asked_for(tmp_path):
    folder = save_yolo(tmp_path / "data", {"train": 2, "val": 2})
    (folder / "data.yaml").unlink()
    with pytest.raises(DataError, match="no names"):
        read_marked(folder)
    (folder / "classes.txt").write_text("red\ngreen\n")
    assert read_marked(folder).names == NAMES


@pytest.mark.parametrize("fit", ["crop", "squeeze", "letterbox"])
@pytest.mark.parametrize("size", [(128, 96), (96, 128), (37, 301), (64, 64), (700, 20)])
def test_a_mark_in_the_picture_is_where_the_frame_says(fit, size, tmp_path):
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    x, y = width // 2 - width // 8, height // 2 - height // 8
    right, bottom = x + max(width // 4, 2), y + max(height // 4, 2)
    pixels[y:bottom, x:right] = 250
    Image.fromarray(pixels).save(tmp_path / "x.png")
    shape = (160, 240)
    found, frame = read_fitted(tmp_path / "x.png", 3, shape, fit)
    assert found.shape == (*shape, 3)
    (x1, y1, x2, y2) = frame.place(np.array([[x, y, right, bottom]], float))[0]
    bright = found[..., 0] > 180
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    scale = max(1.0, *frame.scale)
    assert abs(rows[0] - y1) <= scale
    assert abs(rows[-1] + 1 - y2) <= scale
    assert abs(columns[0] - x1) <= scale
    assert abs(columns[-1] + 1 - x2) <= scale
    left, top, end, low = frame.content
    grey = np.full_like(found, GREY)
    inside = np.zeros(shape, bool)
    inside[round(top) : round(low), round(left) : round(end)] = True
    np.testing.assert_array_equal(found[~inside], grey[~inside])
    assert inside.all() == (fit != "letterbox")


def turned(folder, orientations, declared, size=(60, 40)):
    """A set of one white box a picture, at another place in each, by orientation; `declared`: which frame it says."""
    (folder / "val").mkdir(parents=True)
    images, objects = [], []
    for number, orientation in enumerate(orientations, 1):
        x, y = 6 + number, 9 + 2 * number
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        pixels[y : y + 7, x : x + 12] = 255
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(pixels).save(folder / "val" / f"{number}.png", exif=exif)
        seen = size[::-1] if orientation > 4 else size
        width, height = size if declared == "stored" else seen
        box = [x, y, 12, 7]
        if declared == "seen":
            with Image.open(folder / "val" / f"{number}.png") as image:
                left, top, right, bottom = ImageOps.exif_transpose(image).getbbox()
            box = [left, top, right - left, bottom - top]
        images.append({"id": number, "file_name": f"{number}.png", "width": width, "height": height})
        objects.append({"id": number, "image_id": number, "category_id": 1, "bbox": box})
    content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "box"}]}
    (folder / "val.json").write_text(json.dumps(content))
    return read_marked(folder).test


@pytest.mark.parametrize("declared", ["stored", "seen"])
def test_boxes_are_where_the_photo_is_white_however_it_is_turned(tmp_path, declared):
    """All eight orientations: those that sizes do not tell follow those that do. Pillow turns the pixels."""
    marked = turned(tmp_path / "data", range(1, 9), declared)
    found = read_pictures(marked, [0], fitting("squeeze"))
    rows, columns = fitting("squeeze").shape
    for number, box in enumerate(found.boxes.corners):
        white = found.images.pixels[number].max(axis=2) > 127
        down, across = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
        seen = (across[0], down[0], across[-1] + 1, down[-1] + 1)
        assert np.abs(box - seen).max() <= max(rows, columns) / 40 + 1


@pytest.mark.parametrize(
    ("orientations", "size", "message"),
    [((3, 1), (60, 40), "no other does"), ((6,), (40, 40), "no other does"), ((2, 6, 8), (60, 40), "either way")],
)
def test_boxes_of_which_nothing_tells_the_frame_are_refused(tmp_path, orientations, size, message):
    marked = turned(tmp_path / "data", orientations, "stored", size)
    if len(marked) == 3:
        marked = (*marked[:2], dataclasses.replace(marked[2], size=size[::-1]))
    with pytest.raises(DataError, match="before it is turned, or after") as caught:
        read_pictures(marked, [0], fitting("squeeze"))
    assert message in caught.value.why


def test_a_turned_photo_without_objects_is_no_matter(tmp_path):
    marked = turned(tmp_path / "data", (3,), "stored")
    empty = (dataclasses.replace(marked[0], classes=(), corners=(), crowd=()),)
    assert not len(read_pictures(empty, [0], fitting("squeeze")).boxes.corners)


def test_boxes_of_another_size_of_picture_are_refused(tmp_path):
    folder = save_coco(tmp_path / "data", {"val": 1})
    Image.open(folder / "val" / "0000.png").resize((64, 48)).save(folder / "val" / "0000.png")
    with pytest.raises(DataError, match="another size"):
        read_pictures(read_marked(folder).test, [0, 1], fitting("letterbox"))


def test_objects_that_cropping_cuts_away_are_not_asked_for(tmp_path):
    folder = save_coco(tmp_path / "data", {"val": 12})
    marked = read_marked(folder).test
    every = read_pictures(marked, [1, 0], fitting("letterbox")).boxes
    cropped = read_pictures(marked, [0, 1], fitting("crop")).boxes
    assert sum(len(each.classes) for each in marked) == len(every.classes) > len(cropped.classes) > 0
    assert set(every.classes[every.images == 0]) == {1 - kind for kind in marked[0].classes}


def masks(folder, classes=3, fit="squeeze"):
    notes = []
    _, found = read_masked(find_masks(folder).test, classes, fitting(fit, 48, 64), notes, masks=True)
    return found.values, notes


def test_masks_come_to_lie_under_their_pictures(tmp_path):
    folder = save_masked(tmp_path / "data", {"train": 2, "val": 3})
    values, notes = masks(folder)
    own = np.asarray(Image.open(folder / "masks" / "val" / "0002.png"))
    np.testing.assert_array_equal(values[2], own[1::2, 1::2])
    assert notes == []
    boxed, _ = masks(folder, fit="crop")
    np.testing.assert_array_equal(boxed[2][:, ::4], own[1::2, 16:-16][:, (np.arange(64)[::4] * 96 + 48) // 64])


def test_letterboxing_leaves_bars_out(tmp_path):
    folder = save_masked(tmp_path / "data", {"train": 2, "val": 3})
    _, found = read_masked(find_masks(folder).test, 3, fitting("letterbox", 64), [], masks=True)
    assert (found.values[:, :8] == UNLABELLED).all()
    assert (found.values[:, 56:] == UNLABELLED).all()
    assert (found.values[:, 8:56] != UNLABELLED).all()


def test_black_and_white_masks_are_two_classes(tmp_path):
    folder = save_masked(tmp_path / "data", {"val": 3})
    for path in folder.glob("masks/val/*.png"):
        Image.fromarray(np.where(np.asarray(Image.open(path)) == 1, 255, 0).astype(np.uint8)).save(path)
    values, notes = masks(folder, classes=2)
    assert set(np.unique(values)) == {0, 1}
    assert "255 is the second class" in notes[0]
    with pytest.raises(DataError, match="show one class"):
        masks(folder, classes=3)


def change_mask(folder, how):
    path = folder / "masks" / "val" / "0001.png"
    with Image.open(path) as image:
        image.load()
    how(path, image)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (lambda path, image: image.convert("RGB").save(path), "a mask in colours"),
        (lambda path, image: image.resize((64, 48)).save(path), "a mask of another size"),
        (lambda path, image: Image.fromarray(np.asarray(image) + 7).save(path), "values that are no class"),
        (lambda path, image: path.unlink(), "1 images without a mask"),
        (lambda path, image: path.write_bytes(b"no picture"), "cannot be read"),
    ],
)
def test_a_mask_that_is_none_is_named(how, what, tmp_path):
    folder = save_masked(tmp_path / "data", {"val": 3})
    change_mask(folder, how)
    with pytest.raises(DataError, match=what) as caught:
        masks(folder)
    assert "0001.png" in caught.value.why


def test_masks_in_palettes_and_with_their_own_ending(tmp_path):
    folder = save_masked(tmp_path / "data", {"val": 2})
    before, _ = masks(folder)
    for path in folder.glob("masks/val/*.png"):
        with Image.open(path) as image:
            own = np.array(image)
        coloured = Image.new("P", own.shape[::-1])
        coloured.putdata(own.ravel().tolist())
        coloured.putpalette([200, 0, 0, 0, 200, 0, 9, 9, 9] + [0] * 759)
        coloured.save(path.with_name(f"{path.stem}_mask.png"))
        path.unlink()
    after, _ = masks(folder)
    np.testing.assert_array_equal(before, after)


def test_a_frame_by_hand():
    frame = Frame.of((128, 96), (64, 64), "letterbox")
    assert (frame.scale, frame.offset, frame.content) == ((0.5, 0.5), (0.0, 8.0), (0.0, 8.0, 64.0, 56.0))
    np.testing.assert_allclose(frame.place(np.array([[-10.0, 0, 16, 200]])), [[0, 8, 8, 56]])

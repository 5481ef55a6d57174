from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import Image
from png import blank_png

from ofa_edge.data import picture
from ofa_edge.data.picture import is_grey, read_picture, square_array, square_picture
from ofa_edge.data.pixels import resize
from ofa_edge.errors import DataError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (20, 20, 3), dtype=np.uint8)


def save(tmp_path, image, name="x.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def read(path, channels, size, **options):
    return read_picture(path, channels, size, **options).pixels


def square(image, channels, size, **options):
    return square_picture(image, channels, size, **options).pixels


def test_the_central_square_is_taken_and_resized(tmp_path):
    wide = RNG.integers(0, 256, (10, 17, 3), dtype=np.uint8)
    assert np.array_equal(read(save(tmp_path, Image.fromarray(wide)), 3, 10), wide[:, 3:13])
    tall = wide.transpose(1, 0, 2)
    assert np.array_equal(read(save(tmp_path, Image.fromarray(tall)), 3, 10), tall[3:13])
    for size in (6, 37):  # smaller and larger than it is
        expected = resize(wide[None, :, 3:13], size)[0]
        assert np.array_equal(read(save(tmp_path, Image.fromarray(wide)), 3, size), expected)
    one = read(save(tmp_path, Image.new("RGB", (1, 40), (9, 8, 7))), 3, 4)
    assert (one == (9, 8, 7)).all()


def test_large_pictures_are_averaged_first_and_stay_close():
    smooth = resize(RNG.integers(0, 256, (1, 8, 8, 3), dtype=np.uint8), 300)[0]
    made = square(Image.fromarray(smooth), 3, 16)
    assert np.abs(made.astype(int) - resize(smooth[None], 16)[0]).max() <= 8
    assert abs(made.mean() - smooth.mean()) < 2
    just_below = smooth[:63, :63]
    assert np.array_equal(square(Image.fromarray(just_below), 3, 16), resize(just_below[None], 16)[0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = np.zeros((8, 8, 3), np.uint8)
    upright[:4, :4] = 255  # bright at the top left
    upright[:4, 4:] = 128
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, Image.fromarray(np.ascontiguousarray(undo(upright))), exif=exif.tobytes())
    assert np.array_equal(read(path, 3, 8), upright)


def test_modes_of_eight_bits(tmp_path):
    image = Image.fromarray(COLOUR)
    assert np.array_equal(read(save(tmp_path, image.convert("L")), 3, 20)[..., 2], np.asarray(image.convert("L")))
    assert read(save(tmp_path, image.convert("1")), 1, 20).max() == 255
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    assert np.array_equal(read(save(tmp_path, palette), 3, 20), np.asarray(palette.convert("RGB")))
    cmyk = image.convert("CMYK")
    found = read(save(tmp_path, cmyk, "x.tif"), 3, 20)
    assert np.abs(found.astype(int) - COLOUR).max() <= 1
    assert read(save(tmp_path, cmyk, "x.jpg"), 1, 20).shape == (20, 20, 1)
    frames = [Image.new("L", (8, 8), value) for value in (10, 200)]
    assert (read(save(tmp_path, frames[0], "x.gif", save_all=True, append_images=frames[1:]), 1, 8) == 10).all()


def test_what_is_transparent_is_white_and_half_of_it_half(tmp_path):
    values = np.zeros((4, 4, 4), np.uint8)
    values[..., 3] = [[0, 255, 128, 0]] * 4
    expected = [[255, 0, 127, 255]] * 4
    path = save(tmp_path, Image.fromarray(values))
    assert np.abs(read(path, 3, 4)[..., 0].astype(int) - expected).max() <= 1
    path = save(tmp_path, Image.fromarray(values[..., 2:]))  # grey with alpha
    assert np.abs(read(path, 1, 4)[..., 0].astype(int) - expected).max() <= 1
    assert is_grey(path)
    palette = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "L")
    palette.putpalette([0, 0, 0, 40, 50, 60])
    path = save(tmp_path, palette, transparency=0)
    assert read(path, 3, 2).tolist() == [[[255] * 3, [40, 50, 60]], [[40, 50, 60], [255] * 3]]


def test_sixteen_bits_are_scaled_and_wider_pixels_refused(tmp_path):
    values = np.array([[0, 257, 65535, 32896]] * 4, dtype=np.uint16)
    for name in ("x.png", "x.tif"):
        path = save(tmp_path, Image.fromarray(values), name)
        assert read(path, 1, 4)[0, :, 0].tolist() == [0, 1, 255, 128]
        assert is_grey(path)
    path = save(tmp_path, Image.fromarray(np.full((4, 4), 70000, np.int32)), "wide.tif")
    with pytest.raises(DataError, match="beyond 16 bits") as caught:
        read(path, 1, 4)
    assert "wide.tif" in caught.value.why
    path = save(tmp_path, Image.fromarray(np.full((4, 4), 0.5, np.float32)), "float.tif")
    with pytest.raises(DataError, match="floating-point") as caught:
        read(path, 1, 4)
    assert "float.tif" in caught.value.why


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.bmp", "x.webp", "x.tif", "x.gif", "x.ppm"])
@pytest.mark.parametrize("share", [0, 0.02, 0.6])
def test_truncated_files_are_named(tmp_path, name, share):
    path = save(tmp_path, Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)), name)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(DataError, match="cannot be read") as caught:
        read(path, 3, 16)
    assert name in caught.value.why


def test_two_hundred_megapixels_are_read_and_pillows_limit_stands_again(tmp_path):
    limit = Image.MAX_IMAGE_PIXELS
    assert limit < 200_000_000 // 2  # beyond its error, not only its warning
    assert (read(blank_png(tmp_path / "x.png", 20_000, 10_000), 1, 16) == 0).all()
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_large_photograph_is_decoded_small(tmp_path, monkeypatch):
    smooth = resize(RNG.integers(0, 256, (1, 8, 8, 3), dtype=np.uint8), 600)[0]
    path = save(tmp_path, Image.fromarray(smooth), "x.jpg", quality=95)
    drafted = read(path, 3, 16)
    with Image.open(path) as image:
        whole = square(image, 3, 16)
    apart = np.abs(drafted.astype(int) - whole)
    assert apart.max() <= 8
    assert apart.mean() < 1
    path = save(tmp_path, Image.new("L", (16_000, 13_000)), "large.jpg")  # 208 MP; decoded whole it would be 2.5 GB
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100_000_000))
    assert (read(path, 1, 16) == 0).all()


def test_a_picture_too_large_to_be_read_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "PIXEL_LIMIT", 399)
    path = save(tmp_path, Image.fromarray(COLOUR))
    with pytest.raises(DataError, match="too large") as caught:
        read(path, 3, 16)
    assert "x.png" in caught.value.why
    assert "20 x 20" in caught.value.why
    monkeypatch.setattr(picture, "PIXEL_LIMIT", 400)
    assert np.array_equal(read(path, 3, 20), COLOUR)


def test_a_large_picture_that_does_not_fit_into_memory_is_refused_with_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1 << 28))
    with pytest.raises(DataError, match="30 million pixels does not fit") as caught:
        read(blank_png(tmp_path / "x.png", 6000, 5000), 1, 16)
    assert "x.png: reading it takes 0.3 GiB, 0.2 GiB" in caught.value.why


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_only_the_listed_readers_of_pillow_see_a_file(tmp_path, name, monkeypatch):
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n"
    (tmp_path / name).write_bytes(postscript)
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *a, **k: pytest.fail("Ghostscript was run"))
    for asked in (lambda: read(tmp_path / name, 3, 8), lambda: is_grey(tmp_path / name)):
        with pytest.raises(DataError, match="cannot be read") as caught:
            asked()
        assert "none of PNG, JPEG" in caught.value.why
    save(tmp_path, Image.fromarray(COLOUR), "true.tif").rename(tmp_path / name)  # a name says nothing
    assert np.array_equal(read(tmp_path / name, 3, 20), COLOUR)


def test_an_empty_file_is_called_empty(tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "x.png", 3, 8)
    assert caught.value.why.endswith("x.png: the file is empty (0 bytes)")


def test_arrays_are_treated_like_pictures():
    assert np.array_equal(square_array(COLOUR, None, 20).pixels, COLOUR)
    assert np.array_equal(square_array(COLOUR[..., :1], 3, 20).pixels, COLOUR[..., :1].repeat(3, 2))
    alpha = np.concatenate([COLOUR, np.zeros((20, 20, 1), np.uint8)], 2)
    assert (square_array(alpha, 3, 20).pixels == 255).all()

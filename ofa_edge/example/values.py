"""The interface of an artifact as C++ has it: numbers, and texts whose every byte is escaped where it must be."""

import math
from collections.abc import Iterable

from ofa_edge.example.golden import GoldenFacts
from ofa_edge.records.interface import InterfaceRecord, StepsRecord

_SAFE = frozenset(b" !#$%&'()*+,-./0123456789:;<=>@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~")
_FITS = {"crop": 0, "squeeze": 1, "letterbox": 2}


def c_string(text: str) -> str:
    r"""A literal of C, in UTF-8. Octal escapes end after three digits, and `?` begins no trigraph.

    >>> print(c_string('a"\\\n*/ é ??='))
    "a\042\134\012*/ \303\251 \077\077="
    """
    return '"' + "".join(chr(byte) if byte in _SAFE else f"\\{byte:03o}" for byte in text.encode()) + '"'


def header(interface: InterfaceRecord, golden: GoldenFacts) -> str:
    """`ofa_interface.h`, of an interface with one image and one answer. Every number is one that float or int holds."""
    picture, source, sink = interface.inputs[0].picture, interface.inputs[0], interface.outputs[0]
    assert picture is not None
    classes = math.prod(sink.shape)
    labels = interface.labels if len(interface.labels) == classes else [str(number) for number in range(classes)]
    return f"""// What goes into this build's artifact and what comes out: model.interface.json as constants.
// Not every file needs every one of them.
#pragma GCC diagnostic ignored "-Wunused-variable"
#ifndef OFA_INTERFACE_H_
#define OFA_INTERFACE_H_

static const char kFile[] = {c_string(interface.file)};
static const char kInputName[] = {c_string(source.name)};
static const char kOutputName[] = {c_string(sink.name)};
static const int kInputShape[] = {{{_shape(source.shape)}}};
static const int kOutputShape[] = {{{_shape(sink.shape)}}};
enum {{
  kInputRank = {len(source.shape)},
  kOutputRank = {len(sink.shape)},
  kHeight = {picture.height},
  kWidth = {picture.width},
  kChannels = {picture.channels},
  kClasses = {classes},
  kFit = {_FITS[picture.fit]},  // 0 crop, 1 squeeze, 2 letterbox
  kLastChannels = {int(source.layout == "NHWC")},  // whether the file takes [H, W, C]
  kInputBytes = {_bytes(source.dtype)},  // of a number as it is stored; 4: float32
  kOutputBytes = {_bytes(sink.dtype)},
  kInputSigned = {int(not source.dtype.startswith("u"))},
  kOutputSigned = {int(not sink.dtype.startswith("u"))},
  kGoldenPhotos = {golden.photos},
  kGoldenEvery = {golden.every},  // number of an answer is kept
}};
static const char* const kGoldenFiles[][2] = {{  // that a check stands on, and their SHA-256
{"".join(f"    {{{c_string(name)}, {c_string(digest)}}},{chr(10)}" for name, digest in golden.digests.items())}}};
static const double kGoldenSnr = {_float(golden.snr_db)};  // dB that answers have to keep beside the golden ones
static const float kMean[] = {{{_numbers(picture.mean)}}};
static const float kStd[] = {{{_numbers(picture.std)}}};
static const float kInputScale = {_steps(source.steps)};
static const int kInputZero = {0 if source.steps is None else source.steps.zero_point};
static const float kOutputScale = {_steps(sink.steps)};
static const int kOutputZero = {0 if sink.steps is None else sink.steps.zero_point};
static const char* const kLabels[] = {{
{"".join(f"    {c_string(label)},{chr(10)}" for label in labels)}}};

#endif  // OFA_INTERFACE_H_
"""


def _shape(shape: Iterable[int]) -> str:
    return ", ".join(map(str, shape))


def _bytes(dtype: str) -> int:
    return {"int8": 1, "uint8": 1, "int16": 2}.get(dtype, 4)


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(_float(value) for value in values)


def _steps(steps: StepsRecord | None) -> str:
    return "0.0f" if steps is None else _float(steps.scale)


def _float(value: float) -> str:
    """A literal of C++ that is read back as the same float32."""
    text = f"{value:.9g}"
    return f"{text}f" if any(letter in text for letter in ".e") else f"{text}.0f"

"""An int8 artifact layer by layer, as a build prints it."""

from ofa_edge.cli.quantisation import mixed_lines, quantisation_lines
from ofa_edge.records.blame import BlameRecord, LayerBlame
from ofa_edge.records.mixed import MixedRecord, MixedStep, QuantisationRecord

WORST = LayerBlame(layer="/stem/Conv", operators=("CONV_2D",), snr_db=21.5, share=0.61)
BLAME = BlameRecord(images=80, snr_db=20.1, added_db=21.4, layers=(WORST,))
MIXED = MixedRecord(
    asked="25 dB",
    images=200,
    reached=True,
    blame=BLAME,
    steps=(MixedStep(layers=("/stem/Conv", "/stem/Relu"), operators=3, snr_db=25.6),),
    kept=("/stem/Conv", "/stem/Relu"),
    operators=3,
    of_operators=40,
    snr_db=25.6,
    int8_size=400_000,
    size=431_000,
    ratio=1.07,
    machine="x86_64",
)


def test_what_was_left_in_fp32_and_what_it_costs():
    words = quantisation_lines(QuantisationRecord(blame=BLAME, mixed=MIXED))
    for part in ("20.1 dB", "/stem/Conv", "61.0 %", "25 dB asked for, on 200 other images: kept", "3 of 40 operators"):
        assert part in words
    assert "25.6 dB; +31 kB, 1.07 of the time (in turn, this machine, x86_64)" in words


def test_what_was_not_reached_is_loud():
    assert "NOT REACHED" in mixed_lines(MIXED.model_copy(update={"reached": False}))


def test_nothing_had_to_be_left():
    nothing = {"operators": 0, "kept": (), "steps": (), "ratio": None, "size": 400_000}
    assert mixed_lines(MIXED.model_copy(update=nothing)) == "  25 dB asked for: int8 keeps it as it is"

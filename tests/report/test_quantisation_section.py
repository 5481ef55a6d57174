"""The report's section on an int8 artifact, layer by layer."""

from manifests import facts

from ofa_edge.records.blame import BlameRecord, LayerBlame
from ofa_edge.records.manifest import Manifest
from ofa_edge.records.mixed import MixedRecord, QuantisationRecord
from ofa_edge.report.page import render_report

WORST = LayerBlame(layer="/stem/<Conv>", operators=("PAD", "CONV_2D"), snr_db=21.5, share=0.61, top1_drop=0.0125)
BLAME = BlameRecord(images=80, snr_db=20.1, added_db=21.4, top1_drop=0.02, layers=(WORST,))
MIXED = MixedRecord(
    asked="0.5 points of top-1",
    images=200,
    reached=True,
    blame=BLAME,
    kept=("/stem/<Conv>",),
    operators=3,
    of_operators=40,
    snr_db=25.6,
    top1_drop=0.004,
    int8_size=400_000,
    size=431_000,
    ratio=1.07,
    machine="x86_64",
)


def page(quantisation):
    return render_report(Manifest(**{**facts(), "quantisation": quantisation}))


def test_a_build_that_was_not_looked_into_has_no_section():
    assert "layer by layer" not in page(None)


def test_who_is_to_blame():
    found = page(QuantisationRecord(blame=BLAME))
    for words in ("int8, layer by layer", "/stem/&lt;Conv&gt;", "PAD, CONV_2D", "61.0 %", "+1.25", "+2.00 points"):
        assert words in found
    assert "--max-drop" not in found


def test_what_was_chosen_and_that_the_target_was_not_asked():
    found = page(QuantisationRecord(blame=BLAME, mixed=MIXED))
    for words in (
        "0.5 points of top-1 asked for",
        "3 of 40 operators in fp32",
        "1.07 of int8",
        "on the target it was not",
    ):
        assert words in found

from nights import EVIL, night, series

from ofa_edge.report.annotations import annotations


def test_each_colour_has_its_command_and_green_none():
    made = night(*(series(colour) for colour in ("RED", "YELLOW", "INCONCLUSIVE", "GREEN")))
    assert [line.split(" ")[0] for line in annotations(made)] == ["::error", "::warning", "::notice"]
    assert annotations(made)[0].endswith("[no-regression]")


def test_no_text_begins_a_command_of_its_own():
    reason = f"50 % slower\n::error::{EVIL}\r\n"
    (line,) = annotations(night(series("YELLOW", reason=reason, device="a,b: c")))
    assert "\n" not in line
    assert "\r" not in line
    assert line.startswith("::warning title=YELLOW%3A a%2Cb%3A c / net / latency::50 %25 slower%0A")

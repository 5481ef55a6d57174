from xml.etree import ElementTree as ET

from nights import EVIL, night, series

from ofa_edge.report.junit import junit_xml


def test_every_gate_is_a_case_and_only_red_fails():
    made = night(*(series(colour, device=device) for device in ("a", "b") for colour in COLOURS))
    root = ET.fromstring(junit_xml(made))
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.attrib["tests"] == "4"
        assert (suite.attrib["failures"], suite.attrib["skipped"], suite.attrib["errors"]) == ("1", "1", "0")
        assert [case[0].tag for case in suite] == ["failure", "system-out", "skipped", "system-out"]
        assert all(case.attrib["classname"] == f"lab.{suite.attrib['name']}.net" for case in suite)


COLOURS = ("RED", "YELLOW", "INCONCLUSIVE", "GREEN")


def test_what_a_device_says_stays_text():
    text = junit_xml(night(series("RED", reason=EVIL, device=EVIL)))
    root = ET.fromstring(text)  # a raw control character or tag would not parse, or would add an element
    assert {element.tag for element in root.iter()} == {"testsuites", "testsuite", "testcase", "failure"}
    assert "<script>alert(1)" in root[0][0][0].attrib["message"]
    assert b"\x1b" not in text
    assert b"\x00" not in text

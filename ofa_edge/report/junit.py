"""A night as JUnit XML, the format that CI servers show: one suite a device, one case a gate of an artifact."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from ofa_edge.files import write_bytes
from ofa_edge.records.night import NightRecord, SeriesRecord

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(night: NightRecord) -> bytes:
    """The XML. RED is a failure and INCONCLUSIVE is skipped; YELLOW passes, and says so in its output.

    JUnit has no warnings: whoever must see a YELLOW reads the page or the annotations.
    """
    suites = ET.Element("testsuites", name=_text(f"ofa-edge nightly {night.fleet}"))
    for device in night.devices:
        series = [item for item in night.series if item.device == device.name]
        suite = ET.SubElement(suites, "testsuite", name=_text(device.name), time=f"{device.seconds:.1f}")
        suite.set("tests", str(len(series)))
        suite.set("failures", str(sum(item.colour == "RED" for item in series)))
        suite.set("skipped", str(sum(item.colour == "INCONCLUSIVE" for item in series)))
        suite.set("errors", "0")
        suite.set("timestamp", night.at.strftime("%Y-%m-%dT%H:%M:%S"))
        for item in series:
            _case(suite, night, item)
    ET.indent(suites)
    text: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(suite: ET.Element, night: NightRecord, item: SeriesRecord) -> None:
    names = f"{night.fleet}.{item.device}.{item.artifact}"
    case = ET.SubElement(suite, "testcase", classname=_text(names), name=_text(item.gate), time="0")
    message = _text(item.reason)
    if item.colour == "RED":
        ET.SubElement(case, "failure", type=_text(item.code), message=message).text = message
    elif item.colour == "INCONCLUSIVE":
        ET.SubElement(case, "skipped", message=f"{_text(item.code)}: {message}")
    else:
        ET.SubElement(case, "system-out").text = f"{item.colour} {_text(item.code)}: {message}"


def _text(text: str) -> str:
    """Without the characters that XML cannot hold even escaped."""
    return _NOT_XML.sub("?", text)


def write_junit(path: Path, night: NightRecord) -> str:
    """Write the XML atomically; return its SHA-256. Raises OutputError."""
    return write_bytes(path, junit_xml(night))

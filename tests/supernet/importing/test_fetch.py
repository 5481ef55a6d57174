"""Downloads: https only, only with a digest, whole or not at all. Against a server on this machine."""

import dataclasses
import hashlib
import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ofa_edge.errors import ConfigError, UsageError, WeightsError
from ofa_edge.space import Space
from ofa_edge.supernet.importing import fetch as module
from ofa_edge.supernet.importing.fetch import fetch, is_url, name_of
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.workflows.zoo_import.run import import_package, import_subnet
from ofa_edge.workflows.zoo_import.sources import ImportOptions

CONTENT = bytes(range(256)) * 9000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        port = self.server.server_address[1]
        moved = {
            "/moved": f"https://localhost:{port}/net.pth",
            "/plain": "http://localhost:1/net.pth",
            "/file": "file:///etc/hostname",
            "/round": "/round",
        }
        if self.path in moved:
            self.send_response(302)
            self.send_header("Location", moved[self.path])
            self.end_headers()
            return
        if self.path == "/gone":
            self.send_error(404)
            return
        content = getattr(self.server, "content", CONTENT)
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(content) + 10 * (self.path == "/short")))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    key, out = path.with_suffix(".key"), path.with_suffix(".crt")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(out)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    path.write_bytes(out.read_bytes() + key.read_bytes())
    return path


@pytest.fixture
def server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    server.asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def get(server: Any, certificate: Path, tmp_path: Path) -> Any:
    def call(path: str, sha256: str | None = DIGEST, **options: Any) -> bytes:
        trusted = ssl.create_default_context(cafile=str(certificate))
        url = f"https://localhost:{server.server_address[1]}{path}"
        fetch(url, sha256, tmp_path / "net", **{"context": trusted, **options})
        return (tmp_path / "net").read_bytes()

    return call


@pytest.mark.parametrize("path", ["/net.pth", "/unsized", "/moved"])
def test_a_file_that_is_what_it_should_be(get: Any, path: str) -> None:
    seen: list[tuple[int, int | None]] = []
    assert get(path, DIGEST.upper(), on_bytes=lambda done, total: seen.append((done, total))) == CONTENT
    assert seen[-1] == (len(CONTENT), None if path == "/unsized" else len(CONTENT))


def test_without_a_digest_nothing_is_asked_for(get: Any, server: Any, tmp_path: Path) -> None:
    for digest in (None, "", "abc", DIGEST[:-1] + "g"):
        with pytest.raises(UsageError, match="SHA-256"):
            get("/net.pth", digest)
    assert server.asked == []
    assert not list(tmp_path.iterdir())


def test_another_file_is_refused_and_removed(get: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not the file") as caught:
        get("/net.pth", "0" * 64)
    assert DIGEST in caught.value.why
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["/plain", "/file"])
def test_redirects_to_anything_but_https_are_not_followed(get: Any, tmp_path: Path, path: str) -> None:
    with pytest.raises((UsageError, WeightsError)):
        get(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["/gone", "/short", "/round"])
def test_what_the_server_gets_wrong(get: Any, tmp_path: Path, path: str) -> None:
    with pytest.raises(WeightsError, match="cannot download") as caught:
        get(path)
    assert path in caught.value.why
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["/net.pth", "/unsized"])
def test_too_much(get: Any, tmp_path: Path, path: str) -> None:
    with pytest.raises(WeightsError, match="too large"):
        get(path, limit=len(CONTENT) - 1)
    assert not list(tmp_path.iterdir())


def test_a_certificate_that_nobody_trusts(get: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot download") as caught:
        get("/net.pth", context=ssl.create_default_context())
    assert "certificate" in caught.value.why.lower()


@pytest.mark.parametrize("url", ["http://localhost/net", "ftp://localhost/net", "file:///etc/hostname", "https:///net"])
def test_other_schemes(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="https"):
        fetch(url, DIGEST, tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_an_import_from_an_address(server: Any, certificate: Path, tmp_path: Path, monkeypatch: Any) -> None:
    space = Space("tiny", 0.25, resolutions=(32,))
    torch.save({"state_dict": Supernet(space).state_dict()}, tmp_path / "local.pth")
    (tmp_path / "space.json").write_text(json.dumps(space.to_json()))
    server.content = (tmp_path / "local.pth").read_bytes()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.chdir(tmp_path)
    url = f"https://localhost:{server.server_address[1]}/nets/ofa_tiny_w1.0?token=secret"
    digest = hashlib.sha256(server.content).hexdigest()
    options = ImportOptions(sources=(url,), sha256=digest, space=str(tmp_path / "space.json"))
    folder, facts = import_package(options)
    assert folder == Path("imported/ofa_tiny_w1.0")
    assert (facts["source"], facts["sha256"]) == ("ofa_tiny_w1.0", digest)
    assert open_supernet(str(folder)).space == space
    server.content = b"another file"
    with pytest.raises(WeightsError, match="not the file"):
        import_package(dataclasses.replace(options, out=Path("other")))
    assert not Path("other").exists()
    # A net.config from an address is read and not left in the user's folder.
    server.content = json.dumps({"name": "unheard of", "blocks": []}).encode()
    wanted = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(ConfigError, match=r"not a net\.config"):
        import_subnet(dataclasses.replace(options, sha256=wanted, resolution=32))
    assert not Path("ofa_tiny_w1.0").exists()


def test_addresses_and_names() -> None:
    assert is_url("https://a.b/c")
    assert is_url("HTTP://a.b/c")
    assert not is_url("a/b.pth")
    assert not is_url("C:/b.pth")
    assert name_of("https://a.b/ofa_nets/ofa%40mbv3.pth?token=secret#x") == "ofa@mbv3.pth"
    assert name_of("https://a.b/") == "download"
    assert module.LIMIT > 1 << 30


@pytest.mark.parametrize(
    "url",
    [
        "https://a.b/..",
        "https://a.b/%2e%2e%2fetc",
        "https://a.b/x%2F..%2F..%2Fy",
        "https://a.b/a%00b",
        "https://a.b/a%1b%5b31mb",
        "https://a.b/a%E2%80%AEb",
        f"https://a.b/{'a' * 300}",
    ],
)
def test_names_stay_names(url: str) -> None:
    assert name_of(url) not in ("..", ".", "")
    assert "/" not in name_of(url)
    assert name_of(url).isprintable()
    assert len(name_of(url)) < 256

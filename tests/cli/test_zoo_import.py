"""`ofa-edge zoo import` from the command line: what comes out is a package, and what is refused leaves nothing."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli_errors import check_error
from net_configs import of, older
from safetensors.torch import save_file

from ofa_edge.files import sha256_file
from ofa_edge.output import MARKER
from ofa_edge.search.load_predictor import load_predictor
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.evaluate import extract_calibrated
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.weights import load_static
from ofa_edge.workflows.zoo_import.run import FACTS

SPACE = Space("own", 0.25, 1, 3, (2, 2, 2, 2, 1, 1), (128, 160), depths=(1, 2))
PIXELS = ("--mean", "70", "--std", "90")


@pytest.fixture(scope="module")
def net() -> Supernet:
    torch.manual_seed(0)
    return Supernet(SPACE).eval()


@pytest.fixture
def source(net: Supernet, tmp_path: Path) -> Path:
    """A checkpoint as the reference writes it, and beside it the space that shapes alone do not say."""
    state = {
        key.replace(".conv.", ".mobile_inverted_conv.", 1) if key.startswith("blocks.") else key: value
        for key, value in net.state_dict().items()
    }
    torch.save({"state_dict": state, "epoch": 1}, tmp_path / "my_net.pth")
    (tmp_path / "space.json").write_text(json.dumps(SPACE.to_json()))
    return tmp_path / "my_net.pth"


def command(source: Path, *more: Any) -> tuple[Any, ...]:
    return ("zoo", "import", source, "--space", source.parent / "space.json", *PIXELS, *more)


def refused(result: tuple[int, str, str], words: str) -> str:
    err = check_error(result)
    assert words in err
    return err


@pytest.mark.parametrize("name", ["...pth", "a b.pth", "$(id).pth", "a\u202eb.pth"])
def test_a_source_without_a_plain_name_needs_a_folder(
    run: Any, source: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(source.parent)
    refused(run(*command(source.rename(source.with_name(name)))), "not a folder name")
    assert not (source.parent / "imported").exists()


def test_a_supernet_becomes_a_package(run: Any, net: Supernet, source: Path) -> None:
    code, out, err = run(*command(source))
    assert code == 0, err
    folder = Path("imported/my_net")
    assert sorted(path.name for path in folder.iterdir()) == [MARKER, FACTS, zoo.LABELS, zoo.WEIGHTS]
    package = zoo.open_supernet(str(folder))
    assert (package.space, package.mean, package.std) == (SPACE, (70.0,), (90.0,))
    assert package.labels == ("class 0", "class 1", "class 2")
    loaded = package.load().state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in net.state_dict().items())
    facts = json.loads((folder / FACTS).read_bytes())
    assert facts["sha256"] == sha256_file(source)
    assert (facts["kind"], facts["source"], facts["keys"]) == ("supernet", "my_net", len(net.state_dict()))
    assert facts["parameters"] == sum(value.numel() for value in net.parameters())
    assert facts["dialect"]["mobile_inverted_conv"] > 100
    assert facts["notes"][0] == "left out beside the weights: epoch"
    assert "--labels" in facts["notes"][1]
    assert str(source.parent) not in (folder / FACTS).read_text()
    assert f"SHA-256 {sha256_file(source)}" in out
    assert "mobile_inverted_conv" in out
    assert "next: ofa-edge build --target" in out
    code, out, _ = run("zoo", "list")
    assert code == 0
    assert "--supernet imported/my_net" in out


def test_the_same_source_gives_the_same_files(run: Any, source: Path) -> None:
    digests = []
    for out in ("a", "b", "a"):  # and over itself
        assert run(*command(source, "--out", out))[0] == 0
        digests.append({path.name: sha256_file(path) for path in Path(out).iterdir()})
    assert digests[0] == digests[1] == digests[2]


def test_json(run: Any, source: Path) -> None:
    code, out, _ = run(*command(source, "--json", "--sha256", sha256_file(source)))
    assert code == 0
    printed = json.loads(out)
    assert printed["folder"] == "imported/my_net"
    assert printed["space_hash"] == SPACE.hash


def test_labels(run: Any, source: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\nemu\n")
    assert run(*command(source, "--labels", tmp_path / "labels.txt"))[0] == 0
    assert zoo.open_supernet("imported/my_net").labels == ("cat", "dog", "emu")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    refused(run(*command(source, "--labels", tmp_path / "labels.txt")), "2 labels for 3 outputs")


def test_nothing_of_anybody_elses_is_overwritten(run: Any, source: Path) -> None:
    Path("thesis").mkdir()
    Path("thesis/import.json").write_text("years of work")
    refused(run(*command(source, "--out", "thesis")), "not an output folder of ofa-edge")
    assert [path.read_text() for path in Path("thesis").iterdir()] == ["years of work"]
    Path("built").mkdir()
    Path("built/manifest.json").write_text("{}")
    Path(f"built/{MARKER}").write_text(json.dumps({"tool": "ofa-edge", "files": ["manifest.json"]}))
    refused(run(*command(source, "--out", "built")), "another kind of output folder")
    assert Path("built/manifest.json").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sha256", "0" * 64), "not the file that was named"),
        (("--sha256", "abc"), "not a SHA-256"),
        (("--space", "ofa_mbv3_d234_e346_k357_w1.5"), "unknown space"),
        (("--space", "ofa_mbv3_d234_e346_k357_w1.0"), "do not fit supernet"),
        (("--as", "network"), "no net.config"),
        (("--mean", "1,2,3"), "pixel statistics do not fit"),
        (("--mean", "0.4", "--std", "0.3"), "--mean 102 --std 76.5"),
        (("--predictor", "nothing.pth"), "no checkpoint"),
    ],
)
def test_what_does_not_fit_leaves_nothing(run: Any, source: Path, options: tuple[str, ...], words: str) -> None:
    refused(run(*command(source, *options)), words)
    assert not list(Path.cwd().iterdir())


def test_statistics_of_one_channel_must_be_given(run: Any, source: Path) -> None:
    refused(run("zoo", "import", source, "--space", source.parent / "space.json"), "pixel statistics do not fit")


def test_sources_that_are_none(run: Any, source: Path, tmp_path: Path) -> None:
    refused(run("zoo", "import", tmp_path / "nothing.pth"), "no such file")
    (tmp_path / "empty").mkdir()
    refused(run("zoo", "import", tmp_path / "empty"), "nothing to import")
    refused(run("zoo", "import", source, source), "two sources")
    (tmp_path / "junk").write_bytes(b"junk")
    refused(run("zoo", "import", tmp_path / "junk"), "unsafe or damaged checkpoint")
    refused(run("zoo", "import", tmp_path / "space.json"), "nothing to import")


def test_addresses_need_a_digest_and_https(run: Any) -> None:
    refused(run("zoo", "import", "https://localhost:9/net.pth"), "no SHA-256 for a download")
    refused(run("zoo", "import", "http://localhost:9/net.pth", "--sha256", "0" * 64), "not an https address")
    assert not list(Path.cwd().iterdir())


class Trap:
    def __reduce__(self) -> Any:
        return os.system, ("touch trapped",)


def test_code_in_a_file_is_never_run(run: Any, source: Path, tmp_path: Path) -> None:
    for file in ("weights", "predictor"):
        torch.save({"state_dict": Trap()}, tmp_path / f"{file}.pth")
    refused(run(*command(source)[:2], tmp_path / "weights.pth"), "code or objects beside tensors")
    refused(run(*command(source, "--predictor", tmp_path / "predictor.pth")), "code or objects beside tensors")
    assert not list(Path.cwd().iterdir())


# -- predictors --


def test_a_published_predictor_drives_a_search(run: Any, source: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = 10 * 3 + 10 * 3 + 4
    layers = [torch.nn.Linear(inputs, 40), torch.nn.Linear(40, 40), torch.nn.Linear(40, 40)]
    state = {
        f"layers.{i}.0.{name}": value for i, layer in enumerate(layers) for name, value in layer.state_dict().items()
    }
    state |= {"layers.3.weight": torch.randn(1, 40) / 40, "base_acc": torch.tensor([0.7])}
    torch.save({"state_dict": state}, tmp_path / "acc.pth")
    code, out, err = run(*command(source, "--predictor", tmp_path / "acc.pth"))
    assert code == 0, err
    assert "nas form, sizes [128, 160, 192, 224]" in out
    facts = json.loads(Path("imported/my_net", FACTS).read_bytes())["predictor"]
    assert (facts["rmse"], facts["rmse_source"], facts["interpolated_sizes"]) == (0.0021, "published", [])
    predictor = load_predictor(Path("imported/my_net", zoo.PREDICTOR), SPACE)
    values = predictor.predict(SPACE.sample(np.random.default_rng(0), 50))
    assert np.ptp(values) > 0
    target = ("--target", "raspberry-pi-4", "--supernet", "imported/my_net")
    code, out, err = run("search", *target, "--json")
    assert code == 0, err
    best = json.loads(out)["best"][0]
    genome = SPACE.genome([SPACE.from_config(best["subnet"])])
    assert best["score"] == pytest.approx(predictor.predict(genome)[0], abs=1e-6)
    assert best["score"] > np.median(values)
    refused(run("build", *target, "--device", "none"), "no images")


# -- specialised networks --


@pytest.fixture
def specialised(net: Supernet, tmp_path: Path) -> Path:
    """A folder like those of the published specialised networks."""
    folder = tmp_path / "pixel1_lat@20ms"
    folder.mkdir()
    subnet = SPACE.uniform(5, 4, 2, 160)
    (folder / "net.config").write_text(json.dumps(older(of(SPACE, subnet))))
    (folder / "run.config").write_text(json.dumps({"image_size": 160}))
    torch.save({"state_dict": net.extract(subnet).state_dict()}, folder / "init")
    return folder


def test_a_specialised_network(run: Any, source: Path, specialised: Path) -> None:
    code, out, err = run("zoo", "import", specialised, "--space", source.parent / "space.json", *PIXELS)
    assert code == 0, err
    folder = Path("imported") / specialised.name
    assert "imported network" in out
    network = load_static(folder / zoo.NETWORK)
    assert network.calibrated
    assert network.subnet == SPACE.uniform(5, 4, 2, 160)
    package = zoo.open_supernet(str(folder))
    assert (package.subnet, package.space) == (network.subnet, SPACE)
    facts = json.loads((folder / FACTS).read_bytes())
    assert (facts["kind"], facts["subnet"]) == ("network", network.subnet.config())
    # The files one by one, and its weights as what they are not.
    files = [specialised / name for name in ("init", "net.config", "run.config")]
    assert run("zoo", "import", *files, "--space", source.parent / "space.json", *PIXELS, "--out", "two")[0] == 0
    assert sha256_file(Path("two") / zoo.NETWORK) == sha256_file(folder / zoo.NETWORK)
    refused(run("zoo", "import", *files[:2], "--space", source.parent / "space.json", *PIXELS), "no image size")
    refused(run("zoo", "import", files[0], "--space", source.parent / "space.json", *PIXELS), "do not fit supernet")
    refused(run("zoo", "import", specialised, *PIXELS), "of no space that is known here")


def test_only_the_subnet(run: Any, source: Path, specialised: Path) -> None:
    space = source.parent / "space.json"
    code, out, err = run("zoo", "import", "--subnet", specialised, "--space", space)
    assert code == 0, err
    assert SPACE.from_config(json.loads(out)) == SPACE.uniform(5, 4, 2, 160)
    config = specialised / "net.config"
    code, out, _ = run("zoo", "import", "--subnet", config, "--resolution", 128, "--space", space, "--out", "s.json")
    assert code == 0
    assert SPACE.from_config(json.loads(Path("s.json").read_bytes())).resolution == 128
    refused(run("zoo", "import", "--subnet", specialised, "--space", "fashion-mnist"), "of no space")
    refused(run("zoo", "import", "--subnet", specialised / "init"), "no net.config")


def test_a_given_network_is_built_without_a_search(run: Any, package: Path, tmp_path: Path) -> None:
    own = zoo.open_supernet(str(package))
    subnet = own.space.smallest()
    static = extract_calibrated(own.load(), subnet, own.images("calibration"), own.preprocessing(subnet.resolution))
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "net.config").write_text(json.dumps(of(own.space, subnet)))
    (folder / "run.config").write_text(json.dumps({"image_size": subnet.resolution}))
    save_file(static.state_dict(), folder / "init")
    (tmp_path / "labels.txt").write_text("\n".join(own.labels))
    command = ("zoo", "import", folder, "--space", package, "--mean", own.mean[0], "--std", own.std[0])
    assert run(*command, "--labels", tmp_path / "labels.txt", "--out", "one")[0] == 0
    refused(run("build", "--target", "raspberry-pi-4", "--supernet", "one", "--device", "none"), "has no images")
    (Path("one") / zoo.IMAGES).write_bytes((package / zoo.IMAGES).read_bytes())
    code, out, err = run("build", "--target", "raspberry-pi-4", "--network", "one", "--device", "none", "--out", "out")
    assert code == 0, out + err
    manifest = json.loads(Path("out/manifest.json").read_bytes())
    assert (manifest["search"], manifest["subnet"]["id"]) == (None, subnet.id)
    stages = [stage["name"] for stage in manifest["stages"]]
    assert stages[0] == "adopt"
    assert "search" not in stages
    assert manifest["budget_ms"] == pytest.approx(manifest["prediction"]["high90"])
    refused(run("search", "--target", "raspberry-pi-4", "--supernet", "one"), "nothing to search")


# -- net.config --


def test_a_subnet_goes_out_as_net_config_and_comes_back(run: Any) -> None:
    name = "ofa_proxyless_d234_e346_k357_w1.3"
    wanted = json.dumps({"ks": 5, "e": 4, "d": 3, "r": 132})
    code, printed, err = run("zoo", "net-config", wanted, "--supernet", name)
    assert code == 0, err
    assert run("zoo", "net-config", wanted, "--supernet", name, "--out", "net.config")[:2] == (0, "")
    assert json.loads(Path("net.config").read_text()) == json.loads(printed)
    code, found, _ = run("zoo", "import", "net.config", "--subnet", "--resolution", "132")
    assert code == 0
    space = zoo.UNTRAINED[name]
    assert space.from_config(json.loads(found)) == space.uniform(5, 4, 3, 132)
    refused(run("zoo", "net-config", "largest", "--supernet", "nowhere"), "unknown supernet")
    refused(run("zoo", "net-config", '{"ks": 9, "e": 4, "d": 3}', "--supernet", name), "ks[0] is 9")


# -- published names --


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ofa_mbv3_d234_e346_k357_w1.2", "ofa_nets/ofa_mbv3_d234_e346_k357_w1.2: size not known, SHA-256 not known"),
        ("ofa_resnet50", "192,773,235 bytes, SHA-256 3406a4c852f4"),
        ("note10_lat@22ms_top1@76.6_finetune@25", "it is a network of others at https://"),
        ("acc_predictor.pth", "it is an accuracy predictor of others at https://"),
    ],
)
def test_a_published_name_without_a_file_says_where_it_is(run: Any, name: str, words: str) -> None:
    refused(run("zoo", "import", name), words)
    assert not Path("imported").exists()


def test_the_list_says_where_published_files_are(run: Any) -> None:
    code, out, _ = run("zoo", "list")
    assert code == 0
    assert "https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/ofa_mbv3_d234_e346_k357_w1.2" in out
    assert "58 networks: ofa-edge zoo list --published" in out
    code, everything, _ = run("zoo", "list", "--published")
    assert code == 0
    code, found, _ = run("zoo", "list", "--json")
    assert code == 0
    files = json.loads(found)["files"]
    assert len(files) == 70
    assert all(each["address"] in everything and each["name"] in everything for each in files)

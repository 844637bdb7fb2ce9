"""Tests of kernels of another version in the lab: their sources and their options. Nothing is built, no network is used."""

import os
import pathlib
import subprocess
import sys
import tarfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE / "lab.d"))

import build  # noqa: E402
import fetched  # noqa: E402
import options  # noqa: E402
import source as sources  # noqa: E402
from common import BAD_INPUT, UNDECIDED, LabError  # noqa: E402


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """No test sees what this machine has in /usr/src or in the cache."""
    monkeypatch.setenv("FAULTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "WHERE", str(tmp_path / "src"))


def tree(folder, *names):
    folder.mkdir()
    (folder / "Kconfig").write_text("".join(f"config {name}\n\tbool\n" for name in names) + "menuconfig MENU\n")
    return str(folder)


def deb_of(folder, name, files):
    """A package with those files: {path: bytes}."""
    top = folder / "package"
    for path, data in {**files, "DEBIAN/control": f"Package: {name}\nVersion: 1\nArchitecture: all\n"
                       "Maintainer: Nobody <nobody@invalid>\nDescription: none\n".encode()}.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(data)
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", top, folder], check=True, stdout=subprocess.DEVNULL)
    return str(next(folder.glob("*.deb")))


# --- Options.

def test_what_a_kernel_has_is_asked_for(tmp_path, capsys):
    text = "CONFIG_A=y\nCONFIG_MENU=y\n# CONFIG_B is not set\n"
    assert options.fitted(text, tree(tmp_path / "t", "A", "B")) == text
    assert capsys.readouterr().err == ""


def test_what_a_kernel_lacks_is_said_once_by_name(tmp_path, capsys):
    text = "CONFIG_A=y\nCONFIG_GONE=y\nCONFIG_LOST=3\n# CONFIG_UNKNOWN is not set\n"
    assert options.fitted(text, tree(tmp_path / "t", "A")) == "CONFIG_A=y\n# CONFIG_UNKNOWN is not set\n"
    words = capsys.readouterr().err
    assert words.count("CONFIG_GONE") == words.count("CONFIG_LOST") == 1
    assert "UNKNOWN" not in words  # it is not set


@pytest.mark.parametrize("line", options.RENAMED)
def test_a_renamed_option_is_found(line, tmp_path, capsys):
    name = line.split("=")[0].removeprefix("CONFIG_")
    assert options.fitted(line + "\n", tree(tmp_path / "new")) == options.RENAMED[line] + "\n"
    assert options.fitted(line + "\n", tree(tmp_path / "old", name)) == line + "\n"
    assert capsys.readouterr().err == ""
    assert line in build.fragment(build.LAB)


def test_the_fragment_names_options_of_the_distributions_kernel(tmp_path, capsys, monkeypatch):
    """A name with a typo would be left out of every kernel."""
    monkeypatch.undo()
    with tarfile.open(sources.find(None).path) as tar:
        for member in tar:
            if os.path.basename(member.name).startswith("Kconfig") and member.isfile():
                path = tmp_path / "t" / member.name.partition("/")[2]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(tar.extractfile(member).read())
    for variant in [build.LAB, *build.ADDED]:
        assert options.fitted(build.fragment(variant), str(tmp_path / "t")) == build.fragment(variant)
    assert capsys.readouterr().err == ""


# --- Sources.

def test_a_cached_source_is_found(tmp_path):
    tarball = tmp_path / "cache/lab/source-6.12/linux-source-6.12.tar.xz"
    tarball.parent.mkdir(parents=True)
    tarball.write_bytes(b"x")
    assert sources.find("6.12").path == str(tarball)
    assert fetched.fetch("6.12", None) == str(tarball)


def test_a_source_that_is_not_here_is_fetched_only_by_a_build(tmp_path):
    with pytest.raises(LabError, match="ci/lab build --source 6.12") as error:
        sources.find("6.12")
    assert error.value.status == UNDECIDED
    tarball = tmp_path / "t.tar"
    tarball.write_bytes(b"x")
    assert sources.find("6.12", lambda version: str(tarball)).path == str(tarball)


def test_an_unknown_version_is_refused_without_asking():
    def never(_):
        raise AssertionError
    with pytest.raises(LabError, match="apt-get install linux-source-9.9") as error:
        sources.find("9.9", never)
    assert error.value.status == BAD_INPUT


def test_a_suite_that_cannot_be_reached_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(fetched, "known_to_apt", lambda version: False)
    with pytest.raises(LabError, match="cannot be fetched from trixie-backports.*--source") as error:
        fetched.fetch("7.3", lambda: f"file://{tmp_path}/nowhere")
    assert error.value.status == UNDECIDED
    assert os.listdir(tmp_path / "cache/lab") == []  # nothing is left


def test_a_small_disk_is_refused(monkeypatch):
    monkeypatch.setattr(fetched, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(LabError, match="FAULTLINE_CACHE"):
        fetched.fetch("6.12", None)


def test_the_tarball_comes_out_of_the_package(tmp_path):
    deb = deb_of(tmp_path, "linux-source-6.12", {"usr/src/linux-source-6.12.tar.xz": b"packed"})
    into = tmp_path / "into"
    into.mkdir()
    fetched.unpack(deb, str(into), "6.12")
    assert {p.name: p.read_bytes() for p in into.iterdir()} == {"linux-source-6.12.tar.xz": b"packed"}


def test_a_package_without_a_tarball_is_refused(tmp_path):
    deb = deb_of(tmp_path, "linux-source-6.12", {"usr/src/other": b""})
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(LabError, match="no such file in it"):
        fetched.unpack(deb, str(into), "6.12")

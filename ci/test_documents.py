"""Documents name what is there: links and paths lead somewhere, options exist, and README stays short."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
# `harness/program.h`, `ci/lab.d/mutants.py`: what is in backquotes and begins with a folder of this project.
PATH = re.compile(r"`((?:harness|kernels_ref|drm_glue|opencl_tests|stress|results|ci)/[\w./-]+)")
MADE = ("results/runs", "results/journal")  # by runs
TO_BE_NAMED = "NAME"  # by who follows a recipe


def documents():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout.split()
    return {path: (ROOT / path).read_text() for path in listed if (ROOT / path).exists()}


def lost(texts, root=ROOT):
    """Links and paths in these documents (path to text) that lead nowhere."""
    found = []
    for name, text in texts.items():
        for link in LINK.findall(text):
            if "://" not in link and not (root / name).parent.joinpath(link).exists():
                found.append(f"{name}: ({link})")
        for path in PATH.findall(text):
            path = path.rstrip("./")
            if not path.startswith(MADE) and TO_BE_NAMED not in path and not (root / path).exists() and not list(root.glob(path + "*")):
                found.append(f"{name}: {path}")
    return found


def test_links_and_paths_lead_somewhere():
    assert lost(documents()) == []


def test_a_lost_path_is_found(tmp_path):
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci/here").touch()
    text = "[a](ci/here) [b](ci/gone) `ci/here`, `ci/gone/x.py` `ci/here --option`"
    assert lost({"README.md": text}, tmp_path) == ["README.md: (ci/gone)", "README.md: ci/gone/x.py"]


def test_readme_takes_five_minutes():
    assert (ROOT / "README.md").read_text().count("\n") <= 150


def test_every_folder_is_on_the_map():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    folders = {path.split("/")[0] for path in listed if "/" in path and not path.startswith(".")}
    folders |= {"/".join(path.split("/")[:2]) for path in listed if path.startswith("harness/") and path.count("/") > 1}
    map_ = (ROOT / "harness/README.md").read_text()
    assert [folder for folder in sorted(folders) if f"`{folder}/`" not in map_] == []

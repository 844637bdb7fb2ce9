#!/usr/bin/python3
"""Makes ci/variant.ninja and ci/fuzz.ninja from ci/sources.toml: every object, library and program.

  ci/build_files.py            writes them if they are out of date
  ci/build_files.py --check    only says whether they are out of date (ci/check uses this)

build.ninja reads ci/variant.ninja once for each variant of the build, each time with another $b (the folder for objects)
and $sanitize.
Exit code: 0 when they are up to date, 1 when --check finds that they are not, 2 when ci/sources.toml is wrong.
"""

import argparse
import pathlib
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = ROOT / "ci" / "sources.toml"
HEAD = """# Made by ci/build_files.py of ci/sources.toml: change that one.

# Held here: rules are expanded when all is read, and would find the last variant's.
sanitize = $sanitize
cxxflags = $cxxflags$sanitize
"""
FUZZ_HEAD = """# Made by ci/build_files.py of ci/sources.toml: change that one.
#
# Fuzzers, which need clang: `ninja -f ci/fuzz.ninja`, then
#   mkdir -p build/fuzz/corpus
#   build/fuzz/fuzz_parser -max_len=4096 build/fuzz/corpus harness/language/testdata
#   build/fuzz/fuzz_gpu -max_total_time=300 -timeout=20
# They are no part of `ninja check`; beside each is a small sister that is (parser_fuzz_test.cpp, server_fuzz_test.cpp,
# gpu_test.cpp).
# A folder of its own, so that its log does not mix with that of build.ninja.
builddir = build/fuzz
clang = clang++

# Of the package linux-source, as in build.ninja.
rule registers
  command = /usr/bin/python3 $in $out
  description = REGISTERS $out
build build/fuzz/drm_glue/softgpu/registers.inc build/fuzz/drm_glue/softgpu/register_names.inc: registers $
    drm_glue/softgpu/registers.py

rule fuzz
  command = $clang -std=c++20 -O1 -g -I. -Ibuild/fuzz -Wall -Wextra -fsanitize=fuzzer,address,undefined $
      -fno-sanitize-recover=undefined $in -o $out
  description = FUZZ $out
"""
GTEST = "-lgtest -lgtest_main -lpthread"


class Wrong(Exception):
    """ci/sources.toml names something that does not exist, or names something twice."""


def is_test(path):
    return path.endswith("_test.cpp")


class Build:
    """The build that ci/sources.toml describes, with its folders looked up in `root`."""

    def __init__(self, listed, root=ROOT):
        self.root = root
        self.listed = listed
        self.libraries = listed.get("library", {})
        self.programs = listed.get("program", {})
        self.tests = listed.get("test", {})
        self.fuzzers = listed.get("fuzz", {})
        self.named = {}  # source: the entry that names it as a file
        for owner, entry in [*self.libraries.items(), *self.programs.items(), *self.tests.items(), *self.fuzzers.items(),
                             ("apart", listed.get("apart", {}))]:
            for source in entry.get("sources", []):
                if not source.endswith(".cpp"):
                    continue
                if not (root / source).is_file():
                    raise Wrong(f"{owner}: there is no {source}")
                if source in self.named:
                    raise Wrong(f"{source} is named by {self.named[source]} and by {owner}")
                self.named[source] = owner

    def files(self, folder, owner):
        """The sources in a folder, without those that an entry names as files."""
        if not (self.root / folder).is_dir():
            raise Wrong(f"{owner}: there is no folder {folder}")
        return [f"{folder}/{p.name}" for p in sorted((self.root / folder).glob("*.cpp")) if f"{folder}/{p.name}" not in self.named]

    def sources(self, owner, entry):
        found = []
        for source in entry.get("sources", []):
            found += [source] if source.endswith(".cpp") else [f for f in self.files(source, owner) if not is_test(f)]
        if not found and "sources" in entry:
            raise Wrong(f"{owner}: there are no sources")
        return found

    def test_sources(self, owner, entry):
        found = []
        for name in entry["of"]:
            library = self.libraries.get(name) or self.programs.get(name)
            if library is None:
                raise Wrong(f"{owner}: there is no library or program {name}")
            for source in library["sources"]:
                beside = source.removesuffix(".cpp") + "_test.cpp"
                if not source.endswith(".cpp"):
                    found += [f for f in self.files(source, owner) if is_test(f) and self.tested_by(f) is None]
                elif (self.root / beside).is_file():
                    found.append(beside)
        return found

    def tested_by(self, test):
        """Who names the source that the test lies beside."""
        return self.named.get(test.removesuffix("_test.cpp") + ".cpp")

    def used(self, owner, entry):
        """Objects and libraries, in the order of the list."""
        found = []
        for name in entry.get("uses", []):
            if name in self.libraries:
                found.append(f"$b/{name}.a")
            elif name.endswith(".cpp") and (self.root / name).is_file():
                found.append(self.object(name))
            else:
                raise Wrong(f"{owner} uses {name}, which is no library and no source")
        return found

    def object(self, source):
        return f"$b/{source.removesuffix('.cpp')}.o"

    def said_of(self, what, source):
        """What a table says of all sources in a folder, and of this file."""
        return [said for where, said in self.listed.get(what, {}).items()
                if source == where or (where.endswith("/") and source.startswith(where))]

    def flags(self, source):
        return " ".join(self.said_of("flags", source))

    def compiled(self, source):
        texts = self.listed.get("texts", {}).get(source, [])
        made = [f"$b/{text.rpartition('.')[0]}.inc" for text in texts] + sum(self.said_of("made", source), [])
        line = f"build {self.object(source)}: cxx {source}" + (" | " + " ".join(made) if made else "")
        flags = self.flags(source)
        return line + (f"\n  extra = {flags}" if flags else "")

    def text(self):
        """All of ci/variant.ninja."""
        blocks, compiled, objects = [], {}, lambda sources: [self.object(s) for s in sources]

        def compile_all(sources):
            for source in sources:
                compiled.setdefault(source, self.compiled(source))

        def block(line, parts, **variables):
            text = f"build $b/{line}" + "".join(f" $\n    {part}" for part in parts)
            blocks.append("\n".join([text, *(f"  {name} = {value}".rstrip() for name, value in variables.items() if value is not None)]))

        for name, entry in self.libraries.items():
            sources = self.sources(name, entry)
            compile_all(sources)
            block(f"{name}.a: ar", objects(sources))
        for name, entry in self.programs.items():
            sources = self.sources(name, entry)
            compile_all(sources)
            static, module = entry.get("static"), entry.get("module")
            words = " ".join(word for word in ("-static" * bool(static), "-shared" * bool(module), entry.get("linked", "")) if word)
            needs = [f"| {' '.join(entry['needs'])}"] if "needs" in entry else []
            block(f"{name}: link", objects(sources) + self.used(name, entry) + needs, ldflags=words or None,
                  sanitize="" if static or entry.get("plain") else None, libs=entry.get("libs"))
        for name, entry in self.tests.items():
            sources = self.test_sources(name, entry) + entry.get("sources", [])
            compile_all(sources)
            compile_all(s for s in entry["uses"] if s.endswith(".cpp"))
            block(f"{name}: link", objects(sources) + self.used(name, entry), libs=f"{GTEST} {entry.get('libs', '')}".rstrip())
            blocks.append(f"build $b/{name}.passed: test $b/{name}")
        blocks.append("build $b/tests.passed: stamp" + "".join(f" $\n    $b/{name}.passed" for name in self.tests))
        texts = sorted({text for each in self.listed.get("texts", {}).values() for text in each})
        made = [f"build $b/{text.rpartition('.')[0]}.inc: text {text}" for text in texts]
        return "\n".join([HEAD, *made, *(compiled[source] for source in sorted(compiled)), "", *blocks]) + "\n"

    def fuzz_text(self):
        """All of ci/fuzz.ninja."""
        blocks = []
        for name, entry in self.fuzzers.items():
            sources = self.sources(name, entry)
            for library in entry["uses"]:
                sources += self.sources(library, self.libraries[library])
            headers = sorted({f"{folder}/{p.name}" for folder in {s.rpartition("/")[0] for s in sources} for p in (self.root / folder).glob("*.h")})
            headers += [made.replace("build/", "build/fuzz/", 1) for made in sum(self.said_of("made", sources[0]), [])]
            blocks.append(f"build build/fuzz/{name}: fuzz" + "".join(f" $\n    {s}" for s in sources) +
                          " |" + "".join(f" $\n    {h}" for h in headers))
        return "\n".join([FUZZ_HEAD, *blocks]) + "\n"

    def made(self):
        """The generated files and their texts."""
        return {"ci/variant.ninja": self.text(), "ci/fuzz.ninja": self.fuzz_text()}

    def forgotten(self):
        """Sources in the project's C++ folders that are in no program or library."""
        text = self.text() + self.fuzz_text().replace("\n    ", "\n: cxx ")
        folders = {str(pathlib.PurePath(s).parent) if s.endswith(".cpp") else s
                   for entry in [*self.libraries.values(), *self.programs.values()] for s in entry["sources"]}
        found = {f"{folder}/{p.name}" for folder in folders for p in (self.root / folder).glob("*.cpp")}
        return sorted(s for s in found - set(self.listed.get("apart", {}).get("sources", [])) if f": cxx {s}" not in text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    try:
        build = Build(tomllib.loads(LIST.read_text()))
        made = build.made()
        if forgotten := build.forgotten():
            raise Wrong(f"nothing is built from {', '.join(forgotten)}")
    except (Wrong, tomllib.TOMLDecodeError) as error:
        print(f"ci/sources.toml: {error}", file=sys.stderr)
        return 2
    stale = [name for name, text in made.items() if not (ROOT / name).exists() or (ROOT / name).read_text() != text]
    if options.check and stale:
        print(f"{' and '.join(stale)}: out of date with ci/sources.toml. Run ci/build_files.py", file=sys.stderr)
        return 1
    for name in stale:
        (ROOT / name).write_text(made[name])
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

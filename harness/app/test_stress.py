"""faultline stress and faultline shrink, on this machine's mm and on a fake agent."""

import json
import re

import pytest

from command_line import FAKE, faultline, journal, start, wait_for

FOUND = FAKE + " --fault one=forbidden"


def real(folder, *words):
    """With the agent itself."""
    return faultline(folder, *words, agent="")


def test_a_campaign_on_the_host(folder):
    result = real(folder, "stress", "-t", "host", "--time", "4", "--seed", "7", "--json", "j.jsonl", "one.scn")
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.match(r"Seed 7, 4.0 s on host\nCampaign of \d+\.\d s\n  \d+ scenarios \(1 written, \d+ small, \d+ random\)\n", result.stdout)
    assert "Nothing was found" in result.stdout and result.stdout.endswith("Exit 0: all agree\n")
    records = [each for each in journal(folder / "j.jsonl") if each["ev"] == "campaign"]
    assert {each["pool"] for each in records} == {"written", "small", "random"}
    assert records[0]["scenario"] == "one"
    assert not list(folder.glob("*small*"))


def test_a_finding_is_told_at_once_and_the_campaign_can_end_there(folder):
    result = faultline(folder, "stress", "-t", "host", "--time", "600", "--stop-at-first", "--json", "j.jsonl", ".", agent=FOUND)
    assert result.returncode == 1
    assert result.stdout.count("Found forbidden: one on host") == 1
    assert re.search(r"Findings: 1\n  forbidden +one on host, \d+\.\d s after the start, in 3 of \d+ iterations: ", result.stdout)


def test_a_campaign_that_was_killed_goes_on(folder):
    first = start(folder, "stress", "-t", "host", "--time", "600", "--seed", "7", "--json", "j.jsonl", ".", agent=FOUND)
    wait_for(folder / "j.jsonl", "campaign_finding")
    first.kill()
    first.communicate()
    with open(folder / "j.jsonl", "a", encoding="utf-8") as file:
        file.write('{"ev":"campa')
    before = [json.loads(line) for line in (folder / "j.jsonl").read_text().splitlines()[:-1]]
    second = faultline(folder, "stress", "--resume", "j.jsonl", "--time", "3", agent=FOUND)
    assert second.returncode == 1, second.stderr
    assert re.search(r"Seed 7, 3.0 s on host\nGoes on after \d+\.\d s, \d+ slices?, 1 finding\n", second.stdout)
    assert "Found forbidden" not in second.stdout
    assert second.stdout.count("forbidden ") == 1
    assert sum(each["ev"] == "campaign_finding" for each in before) == 1
    assert (folder / "j.jsonl").read_text().count('"campaign_finding"') == 1


def test_ctrl_c_ends_it_in_good_order(folder):
    run = start(folder, "stress", "-t", "host", "--time", "600", "--json", "j.jsonl", ".", agent=FAKE)
    wait_for(folder / "j.jsonl", "campaign")
    run.terminate()
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 3
    assert "Campaign of" in out and "Go on: faultline stress --resume j.jsonl" in out
    assert journal(folder / "j.jsonl")[-1]["ev"] == "end"


@pytest.mark.parametrize("words, message", [
    (("--seed", "-1"), "not a number from 0"),
    (("--time", "0"), "not a number above 0"),
    (("--time", "soon"), "not a number above 0"),
    (("-t", "hots"), "did you mean 'host'?"),
    (("--resume", "none.jsonl"), "--resume none.jsonl: No such file"),
    (("--resume", "one.scn"), "--resume one.scn: not the journal of a campaign"),
    (("--resume", "."), "--resume .: not a file"),
])
def test_bad_words(folder, words, message):
    result = faultline(folder, "stress", *words)
    assert result.returncode == 2
    assert message in result.stderr


def test_the_journal_of_a_run_is_no_campaign(folder):
    assert faultline(folder, "run", "--json", "j.jsonl", "one.scn").returncode == 0
    result = faultline(folder, "stress", "--resume", "j.jsonl")
    assert result.returncode == 2 and "of 'faultline run'" in result.stderr


def test_what_shows_nothing_is_not_made_smaller(folder):
    result = real(folder, "shrink", "--time", "20", "one.scn")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Nothing to make smaller: one.scn shows no finding on host" in result.stdout
    assert not (folder / "one-shrunk.scn").exists()


def test_a_finding_becomes_a_small_scenario(folder):
    large = "scenario one\nprocess P\n  a: 2 pages anon rw = 7\n  r0 = load a[0]\nthread P.other\n  delay 1us\n"
    (folder / "one.scn").write_text(large)
    result = faultline(folder, "shrink", "--time", "30", "one.scn", agent=FOUND)
    assert result.returncode == 1, result.stdout + result.stderr
    small = (folder / "one-shrunk.scn").read_text()
    assert "delay" not in small and "1 page" in small and "load a[0]" in small

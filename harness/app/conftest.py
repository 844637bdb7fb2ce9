import pytest

from command_line import ONE


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "one.scn").write_text(ONE)
    (tmp_path / "two.scn").write_text(ONE.replace("scenario one", "scenario two"))
    return tmp_path

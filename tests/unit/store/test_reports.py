from uuid import UUID

import pytest

from refit.errors import ContractError, DataError
from refit.store.reports import ReportPaths, Reports

RUN = UUID(int=7)


def test_a_report_is_read_back_by_the_path_it_was_given(tmp_path):
    reports = Reports(tmp_path / "reports")
    paths = reports.write("sba", "drift", RUN, "<p>é</p>", "{}")
    assert paths == ReportPaths(f"sba/{RUN}/drift.html", f"sba/{RUN}/drift.json")
    assert reports.read(paths.html) == "<p>é</p>".encode()
    assert reports.read(paths.json) == b"{}"


def test_reports_can_be_moved(tmp_path):
    paths = Reports(tmp_path / "reports").write("sba", "drift", RUN, "<p></p>", "{}")
    (tmp_path / "reports").rename(tmp_path / "elsewhere")
    assert Reports(tmp_path / "elsewhere").read(paths.json) == b"{}"


@pytest.mark.parametrize("part", ["..", ".", "", "a/b", "/etc", "a\0", "-x", "a" * 200, "a\n"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, part):
    for names in ((part, "drift", RUN), ("sba", part, RUN), ("sba", "drift", part)):
        with pytest.raises(ContractError, match="cannot name a report"):
            Reports(tmp_path / "reports").write(*names, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "sba/../../secret", ".", "", "a\0b", "link/secret", "sba/link"]
)
def test_no_path_leads_out_of_the_folder(tmp_path, path):
    (tmp_path / "secret").write_text("s3cret")
    folder = tmp_path / "reports"
    (folder / "sba").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    (folder / "sba" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ContractError, match="path"):
        Reports(folder).read(path)


@pytest.mark.parametrize("path", ["sba/none.html", "sba", "sba/one.html/none", "none/none.html", "x" * 300])
def test_a_report_that_is_gone_is_said_to_be(tmp_path, path):
    (tmp_path / "sba").mkdir()
    (tmp_path / "sba" / "one.html").touch()
    with pytest.raises(DataError, match="there is no report"):
        Reports(tmp_path).read(path)

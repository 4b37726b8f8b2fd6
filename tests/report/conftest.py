"""The report of the trained layer, which several tests look at."""

import pytest

from tests.report.quick import quick_report
from tests.report.reading import read_json


@pytest.fixture(scope="session")
def lsa_report():
    """Of the trained layer that ships with the package."""
    return quick_report("lsa-1layer", command="interp report lsa-1layer")


@pytest.fixture(scope="session")
def record(lsa_report, tmp_path_factory):
    """Its report.json."""
    path = tmp_path_factory.mktemp("report") / "report.json"
    lsa_report.write(json=path)
    return read_json(path)


@pytest.fixture(scope="session")
def findings(record):
    """Its findings by id."""
    return {finding["id"]: finding for finding in record["findings"]}

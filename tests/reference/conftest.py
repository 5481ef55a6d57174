"""The reference package, where it is installed."""

from types import SimpleNamespace

import pytest
from reference_package import reference_package


@pytest.fixture(scope="session")
def ofa() -> SimpleNamespace:
    """Its networks, calibration, profiler and predictors."""
    try:
        return reference_package()
    except ImportError as error:
        pytest.skip(str(error))

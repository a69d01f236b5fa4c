import os

import hypothesis
import pytest

THOROUGH = os.environ.get("PYJPEGDIFF_THOROUGH") == "1"

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60, database=None)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("thorough" if THOROUGH else "ci")


def pytest_collection_modifyitems(items):
    if not THOROUGH:
        skip = pytest.mark.skip(reason="takes long: set PYJPEGDIFF_THOROUGH=1")
        for item in items:
            if "thorough" in item.keywords:
                item.add_marker(skip)

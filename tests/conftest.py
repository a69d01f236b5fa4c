import os
import tempfile

import hypothesis
import pytest

from tests.samples import THOROUGH

# What torch compiled for another version of the package, with residuals of other shapes, would be taken for ours.
_compiled = tempfile.TemporaryDirectory(prefix="pyjpegdiff-torch-")
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", _compiled.name)

# Several devices for JAX, before anything has it look for some.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60, database=None)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("thorough" if THOROUGH else "ci")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file():
    """Look for doctests in the package alone.

    Here there are none, and pytest, which ignores errors of import where it looks for some, would then take a test
    module that cannot be imported for one without tests.
    """
    collectors = yield
    return [collector for collector in collectors if type(collector).__name__ != "DoctestModule"]

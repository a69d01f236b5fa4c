import subprocess
import sys

HEAVY = "{'torch', 'cupy', 'scipy', 'PIL', 'matplotlib', 'skimage', 'jax', 'dask', 'distributed'}"


def test_importing_the_package_imports_no_framework():
    code = (
        "import sys, pyjpegdiff, pyjpegdiff.testing, numpy as np\n"
        "pyjpegdiff.diff_jpeg_coding(np.zeros((3, 8, 8)), 50)\n"
        f"sys.exit(str({HEAVY} & set(sys.modules)) if {HEAVY} & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

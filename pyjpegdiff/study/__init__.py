"""The distortion study: what JPEG does to images, measured, in NumPy; needs the extra ``pyjpegdiff[cli]``."""

from pyjpegdiff.study.batch import StoppedError, Study, study_files
from pyjpegdiff.study.measurement import Measurement, frequency_rows, rows, study
from pyjpegdiff.study.store import StudyError
from pyjpegdiff.study.tasks import Failure, StudiedImage

__all__ = [
    "Failure",
    "Measurement",
    "StoppedError",
    "StudiedImage",
    "Study",
    "StudyError",
    "frequency_rows",
    "rows",
    "study",
    "study_files",
]

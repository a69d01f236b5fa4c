"""The distortion study: it measures what JPEG does to images, in NumPy. It needs the extra ``pyjpegdiff[cli]``."""

try:
    from pyjpegdiff.study.batch import StoppedError, Study, study_files
    from pyjpegdiff.study.measurement import Measurement, study
    from pyjpegdiff.study.store import StudyError
    from pyjpegdiff.study.tabular import frequency_rows, rows
    from pyjpegdiff.study.tasks import Failure, StudiedImage
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] == "pyjpegdiff":
        raise
    hint = f'{error.name}, which pyjpegdiff.study needs, is not installed; run: pip install "pyjpegdiff[cli]"'
    raise ModuleNotFoundError(hint, name=error.name) from error

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

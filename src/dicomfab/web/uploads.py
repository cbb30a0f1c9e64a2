"""Text files that browsers send."""

from __future__ import annotations

from fastapi import UploadFile

from dicomfab.model.errors import InvalidInput


def text_of(file: UploadFile, *, most_mb: int, remedy: str) -> str:
    """The text of an uploaded file.

    Args:
        file: as it came.
        most_mb: no more than this is read, in MiB.
        remedy: what to choose instead of a file that cannot be used.

    Raises:
        InvalidInput: no file, too large, or not UTF-8.
    """
    content = file.file.read((most_mb << 20) + 1)
    problem = ""
    if not file.filename or not content:
        problem = "no file was chosen, or it is empty"
    elif len(content) > most_mb << 20:
        problem = f"the file is larger than {most_mb} MB"
    if not problem:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            problem = "the file is not UTF-8 text"
    raise InvalidInput(f"file: {problem}", field="file", value=file.filename, remedy=remedy)

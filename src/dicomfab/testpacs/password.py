"""The password of a test PACS's web port: known to everybody, since all that it guards is synthetic."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from dicomfab.testpacs.spec import WEB_PASSWORD, WEB_USER

_basic = HTTPBasic(realm="DICOM Fabricator test PACS")


async def require_password(credentials: Annotated[HTTPBasicCredentials, Depends(_basic)]) -> None:
    """Let in who knows it.

    Raises:
        HTTPException: 401.
    """
    given = (credentials.username, credentials.password)
    right = [
        secrets.compare_digest(text.encode(), expected.encode())
        for text, expected in zip(given, (WEB_USER, WEB_PASSWORD), strict=True)
    ]
    if not all(right):
        raise HTTPException(401, "wrong user or password", headers={"WWW-Authenticate": 'Basic realm="test PACS"'})

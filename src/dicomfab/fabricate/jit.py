"""The one way in which functions become compiled kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile with numba: cached on disk, without the GIL, and in strict floating point.

    Strict, so that every machine gives the same bytes; threads are ours (one batch each), so that numba starts none.
    """
    return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))

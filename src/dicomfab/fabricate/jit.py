"""The one way in which functions become compiled kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

#: Numba's dispatchers of all kernels whose modules are loaded.
KERNELS: Final[list[Any]] = []


def kernel(function: F) -> F:
    """Compile with numba: cached on disk, without the GIL, and in strict floating point.

    Strict, so that every machine gives the same bytes; threads are ours (one batch each), so that numba starts none.

    The cache lies in ``__pycache__`` beside the module, in ``NUMBA_CACHE_DIR`` if that is set, or below the user's own
    cache folder where the package cannot be written to. What is compiled is compiled anew when the kernel's own file
    changes; numba does not see that a kernel of another file, which this one calls, has changed.
    """
    compiled = njit(cache=True, nogil=True, error_model="numpy")(function)
    KERNELS.append(compiled)
    return cast(F, compiled)

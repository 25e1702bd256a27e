"""The same arithmetic on any number of cores: OpenBLAS adds up a long vector in as many parts as it has threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import threadpoolctl  # type: ignore[import-untyped] # it has no types


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the libraries to one thread, so that the last digit of a sum does not tell the machines apart.

    Unlike `parallel.silenced` it lets them warn: what is worked out between the fits has nothing to hide.
    """
    with threadpoolctl.threadpool_limits(1):
        yield

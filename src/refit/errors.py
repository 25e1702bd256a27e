"""What can go wrong, as one tree.

RefitError
├── ContractError   the use case's file or the command is wrong: fix it, a retry cannot help
├── DataError       the records are wrong: look at the rejects
├── ReleaseError    the new release was refused; the old one is still live
└── OutageError     a neighbour is down, a port taken, a disk full: safe to retry
"""

from typing import ClassVar


class RefitError(Exception):
    """Any failure `refit` explains itself. Its message says what is wrong, where, and what to do."""

    exit_code: ClassVar[int] = 1


class ContractError(RefitError):
    """The use case's file, a setting or an argument is wrong. A retry cannot help."""

    exit_code = 2


class DataError(RefitError):
    """The records are wrong: too few, unreadable, or against the contract."""

    exit_code = 3


class ReleaseError(RefitError):
    """A release was refused. What was live before is still live."""

    exit_code = 4


class OutageError(RefitError):
    """Something `refit` depends on is down, taken or full. Safe to retry once that is mended."""

    exit_code = 5

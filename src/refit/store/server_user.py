"""Whom the embedded Postgres runs as.

Postgres refuses to run as root. Where `refit` does (a container, a build machine), another user must be found who can
still reach the data and the binaries, which may lie under a home that only root may enter. No folder's mode is changed
for that. Tried in this order:

1. the owner of the data, or else `nobody`, where the folders let them pass;
2. the same, with `setpriv` and one capability: to pass through folders and read (CAP_DAC_READ_SEARCH), or where the
   container lacks that one, CAP_DAC_OVERRIDE. `no_setuid_fixup` makes access(2) count it too (capabilities(7));
3. root under another name, in a user namespace of its own (`unshare`).
"""

import os
import pwd
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from refit.errors import ContractError

NOBODY: Final = 65534


@dataclass(frozen=True, slots=True)
class ServerUser:
    """A way to run the server's programs: words put in front of a command, or a user to become."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()
    become: bool = False

    def run(self, command: Sequence[str | Path], *, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, out of reach of the terminal's Ctrl-C."""
        return subprocess.run(
            [*self.prefix, *map(str, command)],
            user=self.uid if self.become else None,
            group=self.gid if self.become else None,
            extra_groups=() if self.become else None,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env=_environment(),
        )

    def own(self, path: Path) -> None:
        """Give the file or folder `path`, just made by us, to the server's user."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)


def server_user(folder: Path, binaries: Path) -> ServerUser:
    """Return a user who can run the server on `folder`.

    Args:
        folder: Where the data lies or will lie; it exists.
        binaries: The folder of `initdb`, `pg_ctl` and `postgres`.

    Raises:
        ContractError: There is none; names each that was tried, and what to do.
    """
    refused = []
    for user in _candidates(folder, binaries):
        try:
            # --show checks the user and finds the binaries, and makes nothing
            tried = user.run([binaries / "initdb", "--show", "-D", folder / "none"], timeout_s=30)
        except (OSError, subprocess.SubprocessError) as error:
            refused.append(f"{_name(user)}: {error}")
            continue
        if tried.returncode == 0:
            return user
        refused.append(f"{_name(user)}: {' '.join((tried.stderr or tried.stdout).split())}")
    raise ContractError(
        f"the embedded Postgres cannot run here ({'; '.join(refused)}). Run refit as a user with a name who is not "
        "root, or install setpriv (util-linux), or name a Postgres of yours in REFIT_DATABASE_URL"
    )


def _candidates(folder: Path, binaries: Path) -> Iterator[ServerUser]:
    me, my_group = os.geteuid(), os.getegid()
    renamed = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
    if me != 0:
        yield ServerUser(me, my_group)
        yield ServerUser(me, my_group, renamed)  # for a user without a name, which initdb asks for
        return
    data = folder / "data"
    owner = (data if data.exists() else folder).stat()
    if owner.st_uid != 0 or not data.exists():
        uid, gid = (owner.st_uid, owner.st_gid) if owner.st_uid else _nobody()
        if _lets_pass(uid, gid, folder) and _lets_pass(uid, gid, binaries):
            yield ServerUser(uid, gid, become=True)
        for capability in ("+dac_read_search", "+dac_override"):
            yield ServerUser(
                uid,
                gid,
                (
                    "setpriv",
                    f"--reuid={uid}",
                    f"--regid={gid}",
                    "--clear-groups",
                    f"--inh-caps={capability}",
                    f"--ambient-caps={capability}",
                    "--securebits=+no_setuid_fixup",
                    "--",
                ),
            )
    yield ServerUser(0, 0, renamed)


def _nobody() -> tuple[int, int]:
    try:
        found = pwd.getpwnam("nobody")
    except KeyError:
        return NOBODY, NOBODY
    return found.pw_uid, found.pw_gid


def _lets_pass(uid: int, gid: int, path: Path) -> bool:
    """Tell whether the user may enter `path` and every folder above it."""
    for folder in (path, *path.parents):
        status = folder.stat()
        needed = stat.S_IXUSR if status.st_uid == uid else stat.S_IXGRP if status.st_gid == gid else stat.S_IXOTH
        if not status.st_mode & needed:
            return False
    return True


def _environment() -> dict[str, str]:
    """Return what the server needs of the environment: no PG* variable, and none of our secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _name(user: ServerUser) -> str:
    return f"uid {user.uid}" + (f" by {user.prefix[0]}" if user.prefix else "")

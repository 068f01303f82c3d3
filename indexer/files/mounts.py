"""Which file systems do not tell what other machines change on them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import psutil

MOUNTINFO = Path("/proc/self/mountinfo")
"""proc(5): one line per mount, later ones over earlier ones."""

_BETWEEN_MACHINES = (
    "nfs nfs3 nfs4 cifs smb2 smb3 smbfs afs ceph glusterfs lustre gpfs ocfs2 gfs2 beegfs orangefs pvfs2 davfs afpfs "
    "webdav ncpfs coda"
)
_BETWEEN_MACHINE_AND_GUEST = "9p virtiofs vboxsf vmhgfs prl_fs drvfs fakeowner osxfs grpcfuse"
_BY_PROGRAMS = (
    "sshfs rclone s3fs gcsfuse glusterfs ceph ceph-fuse davfs davfs2 curlftpfs smbnetfs afuse juicefs goofys blobfuse "
    "blobfuse2 gvfsd-fuse vmhgfs-fuse osxfs grpcfuse google-drive-ocamlfuse onedriver mfs lizardfs seaweedfs kio-fuse"
)
_REMOTE = frozenset(
    [*_BETWEEN_MACHINES.split(), *_BETWEEN_MACHINE_AND_GUEST.split()]
    + [f"fuse.{program}" for program in _BY_PROGRAMS.split()]
)

_MOUNT_POINT = 4
"""Field of a line of MOUNTINFO, counted from 0."""

_OCTAL = re.compile(r"\\([0-7]{3})")


def remote_type(folder: Path) -> str:
    """The type of the file system that holds `folder` (no links in it) if other machines may change what is on
    it without this one hearing of it, else empty."""
    kind = ""
    longest = -1
    for point, mounted in _mounts():
        within = folder == point or point in folder.parents
        if within and len(point.parts) >= longest:
            longest, kind = len(point.parts), mounted
    return kind if kind in _REMOTE else ""


def _mounts() -> list[tuple[Path, str]]:
    try:
        lines = os.fsdecode(MOUNTINFO.read_bytes()).splitlines()
    except OSError:  # not Linux
        return [(Path(it.mountpoint), it.fstype) for it in psutil.disk_partitions(all=True)]
    found: list[tuple[Path, str]] = []
    for line in lines:
        mount, _, source = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) > _MOUNT_POINT and source:
            found.append((Path(_unescaped(fields[_MOUNT_POINT])), source.split(" ")[0]))
    return found


def _unescaped(name: str) -> str:
    """Blanks, tabs, line ends and backslashes stand as octal numbers."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), name)

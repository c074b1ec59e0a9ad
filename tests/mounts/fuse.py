"""A file system that remembers, as a client of NFS does, in plain Python: a folder, mounted by FUSE.

    python fuse.py FOLDER MOUNT --seconds 30

Several mounts of one folder are like several clients of one server, each with its own memory: whatever the kernel has
learned of names, of what isn't there, and of times and sizes, it trusts for so many seconds, and nobody tells it
otherwise. Stricter than NFS, opening a file or a folder makes it ask for nothing. `--lost N` has each Nth hard link be
made and answered "exists already", as one is whose first answer got lost and whose call was repeated.

It speaks the kernel's own protocol (linux/fuse.h, version 7.31) by /dev/fuse, so that it needs no library; root mounts.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path

IN, OUT = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
SIZE = 1 << 17
# These get no answer.
FORGET, BATCH_FORGET, INTERRUPT = 2, 42, 36


class Folder:
    """A folder as one client sees it; files are known by number, and found by descriptors that are only their place.

    Args:
        root: the folder.
        seconds: for how long the kernel may trust what it was told.
        lost: of so many hard links, one is made and answered "exists already"; 0: none.
    """

    def __init__(self, root: str, seconds: float, lost: int = 0) -> None:
        self.seconds, self.lost = seconds, lost
        self._links = 0
        top = os.open(root, os.O_PATH)
        self._nodes = {1: top}  # number -> descriptor
        self._by_key = {self._key(os.fstat(top)): 1}
        self._counts = {1: 1}  # number -> how often the kernel was told of it, less what it has forgotten
        self._next = 2

    @staticmethod
    def _key(found: os.stat_result) -> tuple[int, int]:
        return found.st_dev, found.st_ino

    def path(self, node: int) -> str:
        """Return a path that leads to a file by its number, whatever its name is by now."""
        return f"/proc/self/fd/{self._nodes[node]}"

    def entry(self, parent: int, name: bytes) -> bytes:
        """Look a name up, and return what the kernel may trust for some time."""
        try:
            place = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self._nodes[parent])
        except FileNotFoundError:
            return struct.pack("<QQQQII", 0, 0, int(self.seconds), 0, 0, 0) + self._attr(None)
        found = os.fstat(place)
        node = self._by_key.get(self._key(found))
        if node is None:
            node, self._next = self._next, self._next + 1
            self._nodes[node] = place
            self._by_key[self._key(found)] = node
        else:
            os.close(place)
        self._counts[node] = self._counts.get(node, 0) + 1
        return struct.pack("<QQQQII", node, 0, int(self.seconds), int(self.seconds), 0, 0) + self._attr(found)

    def _attr(self, found: os.stat_result | None) -> bytes:
        if found is None:
            return bytes(ATTR.size)
        times = [found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns]
        return ATTR.pack(
            found.st_ino, found.st_size, found.st_blocks, *(t // 10**9 for t in times), *(t % 10**9 for t in times),
            found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0,
        )  # fmt: skip

    def attributes(self, node: int) -> bytes:
        """Return a file's times, size and mode, to be trusted for some time."""
        return struct.pack("<QII", int(self.seconds), 0, 0) + self._attr(os.fstat(self._nodes[node]))

    def forget(self, node: int, times: int) -> None:
        """Let go of a file that the kernel has forgotten."""
        self._counts[node] -= times
        if not self._counts[node]:
            place = self._nodes.pop(node)
            del self._counts[node], self._by_key[self._key(os.fstat(place))]
            os.close(place)

    # --- what the kernel asks for: each gets the number of a file and the rest of the request

    def init(self, node: int, data: bytes) -> bytes:
        major, _, ahead, _ = struct.unpack_from("<IIII", data)
        return struct.pack("<IIIIHHIIHHI7I", major, 31, ahead, 0, 16, 12, SIZE, 1, SIZE // 4096, 0, 0, *[0] * 7)

    def lookup(self, node: int, data: bytes) -> bytes:
        return self.entry(node, data.rstrip(b"\0"))

    def getattr(self, node: int, data: bytes) -> bytes:
        return self.attributes(node)

    def setattr(self, node: int, data: bytes) -> bytes:
        (valid, _, _, size, _, atime, mtime, _, ansec, mnsec, _, mode, _, uid, gid, _) = struct.unpack_from(
            "<IIQQQQQQIIIIIIII", data
        )
        path = self.path(node)
        if valid & 1:
            Path(path).chmod(mode)
        if valid & 6:
            os.chown(path, uid if valid & 2 else -1, gid if valid & 4 else -1)
        if valid & 8:
            os.truncate(path, size)
        if valid & (1 << 7 | 1 << 8) or valid & (1 << 4 | 1 << 5):
            now = valid & (1 << 7 | 1 << 8)
            os.utime(path) if now else os.utime(path, ns=(atime * 10**9 + ansec, mtime * 10**9 + mnsec))
        return self.attributes(node)

    def mkdir(self, node: int, data: bytes) -> bytes:
        mode, mask = struct.unpack_from("<II", data)
        name = data[8:].rstrip(b"\0")
        os.mkdir(name, mode & ~mask, dir_fd=self._nodes[node])
        return self.entry(node, name)

    def unlink(self, node: int, data: bytes) -> bytes:
        os.unlink(data.rstrip(b"\0"), dir_fd=self._nodes[node])
        return b""

    def rmdir(self, node: int, data: bytes) -> bytes:
        os.rmdir(data.rstrip(b"\0"), dir_fd=self._nodes[node])
        return b""

    def rename(self, node: int, data: bytes, head: int = 8) -> bytes:
        (new,) = struct.unpack_from("<Q", data)
        old_name, new_name, _ = data[head:].split(b"\0", 2)
        os.rename(old_name, new_name, src_dir_fd=self._nodes[node], dst_dir_fd=self._nodes[new])
        return b""

    def rename2(self, node: int, data: bytes) -> bytes:
        if struct.unpack_from("<I", data, 8)[0]:
            raise OSError(errno.EINVAL, "flags")
        return self.rename(node, data, 16)

    def link(self, node: int, data: bytes) -> bytes:
        (old,) = struct.unpack_from("<Q", data)
        name = data[8:].rstrip(b"\0")
        os.link(self.path(old), name, dst_dir_fd=self._nodes[node], follow_symlinks=True)
        self._links += 1
        if self.lost and self._links % self.lost == 0:
            raise FileExistsError(errno.EEXIST, "it was repeated")
        return self.entry(node, name)

    def open_(self, node: int, data: bytes) -> bytes:
        flags = struct.unpack_from("<I", data)[0] & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
        if not os.fstat(self._nodes[node]).st_nlink:
            raise OSError(errno.ESTALE, "it was removed")
        return struct.pack("<QII", os.open(self.path(node), flags), 0, 0)

    opendir = open_

    def create(self, node: int, data: bytes) -> bytes:
        flags, mode, mask, _ = struct.unpack_from("<IIII", data)
        name = data[16:].rstrip(b"\0")
        handle = os.open(name, flags | os.O_CREAT, mode & ~mask, dir_fd=self._nodes[node])
        return self.entry(node, name) + struct.pack("<QII", handle, 0, 0)

    def read(self, node: int, data: bytes) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", data)
        return os.pread(handle, size, offset)

    def write(self, node: int, data: bytes) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", data)
        return struct.pack("<II", os.pwrite(handle, data[40 : 40 + size], offset), 0)

    def readdir(self, node: int, data: bytes) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", data)
        out = b""
        with os.scandir(handle) as entries:
            found = sorted((entry.name, entry.inode()) for entry in entries)
        for number, (name, inode) in enumerate([(".", 1), ("..", 1), *found][offset:], offset + 1):
            raw = os.fsencode(name)
            one = struct.pack("<QQII", inode, number, len(raw), 0) + raw
            one += bytes(-len(one) % 8)
            if len(out) + len(one) > size:
                break
            out += one
        return out

    def release(self, node: int, data: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", data)[0])
        return b""

    releasedir = release

    def flush(self, node: int, data: bytes) -> bytes:
        return b""

    fsync = fsyncdir = flush

    def statfs(self, node: int, data: bytes) -> bytes:
        found = os.statvfs(self.path(1))
        return struct.pack(
            "<QQQQQIIII6I", found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree, 4096, 255,
            4096, 0, *[0] * 6,
        )  # fmt: skip


CALLS = {
    1: "lookup", 3: "getattr", 4: "setattr", 9: "mkdir", 10: "unlink", 11: "rmdir", 12: "rename", 13: "link",
    14: "open_", 15: "read", 16: "write", 17: "statfs", 18: "release", 20: "fsync", 25: "flush", 26: "init",
    27: "opendir", 28: "readdir", 29: "releasedir", 30: "fsyncdir", 35: "create", 45: "rename2",
}  # fmt: skip


def serve(device: int, folder: Folder) -> None:
    """Answer the kernel until the mount is gone."""
    calls: dict[int, Callable[[int, bytes], bytes]] = {code: getattr(folder, name) for code, name in CALLS.items()}
    while True:
        try:
            request = os.read(device, SIZE + 4096)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                continue
            return
        _, code, unique, node, *_ = IN.unpack_from(request)
        if code == FORGET:
            folder.forget(node, *struct.unpack_from("<Q", request, IN.size))
        if code == BATCH_FORGET:
            for number in range(struct.unpack_from("<I", request, IN.size)[0]):
                folder.forget(*struct.unpack_from("<QQ", request, IN.size + 8 + 16 * number))
        if code in (FORGET, BATCH_FORGET, INTERRUPT):
            continue
        try:
            call = calls.get(code)
            if call is None:
                raise OSError(errno.ENOSYS, "unknown")
            body, problem = call(node, request[IN.size :]), 0
        except OSError as error:
            body, problem = b"", error.errno or errno.EIO
        try:
            os.write(device, OUT.pack(OUT.size + len(body), -problem, unique) + body)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINTR):  # who asked is gone
                return


def mount(folder: str, place: str) -> int:
    """Mount, and return the device by which the kernel asks."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode={stat.S_IFDIR:o},user_id=0,group_id=0,allow_other,default_permissions"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"heyhi-test", os.fsencode(place), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), f"mount: {os.strerror(ctypes.get_errno())}")
    return device


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("place")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--lost", type=int, default=0)
    options = parser.parse_args()
    device = mount(str(Path(options.folder).resolve()), options.place)
    folder = Folder(options.folder, options.seconds, options.lost)
    print("mounted", flush=True)
    # One thread: a read of the page cache may wait for another call of the same client, never for one of this server's.
    serve(device, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Writes an image of static binaries without a container daemon: one tar file that is an OCI archive and that
`docker load` takes too. The same input gives the same bytes (with the same zlib): no clock, no user, no file order.

    oci-image.py OUT.tar NAME:TAG BINARY[=PATH_IN_IMAGE]... [--entrypoint PATH] [--cmd ARG]... [--user UID[:GID]]
                 [--label KEY=VALUE]...

A binary lands in /usr/local/bin unless a path is given; the entry point is the first binary unless one is given.
The platform is read from the ELF header. Prints the manifest's digest."""

import argparse
import hashlib
import io
import json
import os
import posixpath
import struct
import sys
import tarfile
import zlib

EPOCH = "1970-01-01T00:00:00Z"

# ELF e_machine, e_ident[EI_CLASS], e_ident[EI_DATA] -> platform, in the spelling of the Go tool chain that the OCI
# image specification asks for.
PLATFORMS = {
    (0x3E, 2, 1): {"architecture": "amd64"},
    (0xB7, 2, 1): {"architecture": "arm64", "variant": "v8"},
    (0x28, 1, 1): {"architecture": "arm", "variant": "v7"},
    (0xF3, 2, 1): {"architecture": "riscv64"},
    (0x15, 2, 1): {"architecture": "ppc64le"},
    (0x16, 2, 2): {"architecture": "s390x"},
}


class Refused(Exception):
    """The input cannot become an image; the text says why."""


def platform(path, data):
    """The platform of a static ELF binary."""
    if data[:4] != b"\x7fELF" or len(data) < 64:
        raise Refused(f"{path}: not an ELF binary")
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    machine = struct.unpack_from(order + "H", data, 18)[0]
    found = PLATFORMS.get((machine, data[4], data[5]))
    if found is None:
        raise Refused(f"{path}: unknown ELF machine {machine:#x}")
    start = struct.unpack_from(order + ("Q" if wide else "I"), data, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", data, 54 if wide else 42)
    if start + size * count > len(data) or count and size < 4:
        raise Refused(f"{path}: the ELF binary is cut off")
    for i in range(count):
        # PT_INTERP (3) names the dynamic loader, which this image has not.
        if struct.unpack_from(order + "I", data, start + i * size)[0] == 3:
            raise Refused(f"{path}: dynamically linked, it could not start in an image without a C library")
    return {"os": "linux", **found}


def tar(entries):
    """A tar file of (name, data or None for a folder, mode), in the order given."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data, mode in entries:
            info = tarfile.TarInfo(name)  # root's, of the epoch, unless said otherwise
            info.mode = mode
            if data is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def gzip(data, level):
    """gzip with a header of our own: the one that zlib writes differs between versions of Python."""
    squeeze = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = squeeze.compress(data) + squeeze.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def layer(files, user):
    """The file system: the files, the folders above them, and names for root and the user."""
    uid, _, gid = user.partition(":")
    gid = gid or uid
    passwd, group = "root:x:0:0:root:/:/sbin/nologin\n", "root:x:0:\n"
    if uid != "0":
        passwd += f"nonroot:x:{uid}:{gid}:nonroot:/:/sbin/nologin\n"
    if gid != "0":
        group += f"nonroot:x:{gid}:\n"
    content = {"etc/passwd": (passwd.encode(), 0o644), "etc/group": (group.encode(), 0o644)}
    content.update({path.lstrip("/"): (data, 0o755) for path, data in files.items()})
    for path in list(content):
        folder = posixpath.dirname(path)
        while folder:
            content.setdefault(folder + "/", (None, 0o755))
            folder = posixpath.dirname(folder)
    return tar((name, *content[name]) for name in sorted(content))


def qualified(name):
    """The name with its registry, as containerd and the kubelet spell it: `ironlb:1` is `docker.io/library/ironlb:1`."""
    first, slash, _ = name.partition("/")
    if not slash:
        return "docker.io/library/" + name
    return name if "." in first or ":" in first or first == "localhost" else "docker.io/" + name


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def descriptor(media_type, data):
    return {"mediaType": "application/vnd.oci.image." + media_type, "digest": "sha256:" + digest(data), "size": len(data)}


def image(reference, files, entrypoint, cmd, user, labels, level=9):
    """The bytes of the archive and the manifest's digest."""
    repository, _, tag = reference.rpartition(":")
    if not repository or "/" in tag or not tag:
        raise Refused(f"{reference}: an image needs a name and a tag, NAME:TAG")
    platforms = {canonical(platform(path, data)): path for path, data in files.items()}
    if len(platforms) > 1:
        raise Refused(f"binaries for different platforms: {', '.join(sorted(platforms.values()))}")
    where = json.loads(next(iter(platforms)))
    content = layer(files, user)
    squeezed = gzip(content, level)
    settings = {"Entrypoint": [entrypoint], "User": user, "WorkingDir": "/", "Env": ["PATH=/usr/local/bin"]}
    if cmd:
        settings["Cmd"] = cmd
    if labels:
        settings["Labels"] = labels
    config = canonical({
        **where, "created": EPOCH, "config": settings,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(content)]},
        "history": [{"created": EPOCH, "created_by": "oci-image"}],
    })
    manifest = canonical({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config), "layers": [descriptor("layer.v1.tar+gzip", squeezed)],
        **({"annotations": labels} if labels else {}),
    })
    index = canonical({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            **descriptor("manifest.v1+json", manifest), "platform": where,
            "annotations": {"io.containerd.image.name": qualified(reference), "org.opencontainers.image.ref.name": tag},
        }],
    })
    blobs = sorted({digest(data): data for data in (config, manifest, squeezed)}.items())
    path = {name: "blobs/sha256/" + name for name, _ in blobs}
    archive = tar([
        ("oci-layout", canonical({"imageLayoutVersion": "1.0.0"}), 0o644),
        ("index.json", index, 0o644),
        # What `docker load` reads, and an OCI reader passes over.
        ("manifest.json", canonical([{
            "Config": path[digest(config)], "RepoTags": [reference], "Layers": [path[digest(squeezed)]]}]), 0o644),
        ("blobs/", None, 0o755), ("blobs/sha256/", None, 0o755),
        *((path[name], data, 0o644) for name, data in blobs),
    ])
    return archive, "sha256:" + digest(manifest)


def arguments(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT.tar")
    parser.add_argument("reference", metavar="NAME:TAG")
    parser.add_argument("binaries", metavar="BINARY[=PATH_IN_IMAGE]", nargs="+")
    parser.add_argument("--entrypoint", metavar="PATH")
    parser.add_argument("--cmd", metavar="ARG", action="append", default=[], help="one argument; repeat for more")
    parser.add_argument("--user", metavar="UID[:GID]", default="65532:65532",
                        help="numbers only, so that runAsNonRoot can be checked (default %(default)s)")
    parser.add_argument("--label", metavar="KEY=VALUE", action="append", default=[])
    parser.add_argument("--level", metavar="N", type=int, choices=range(1, 10), default=9,
                        help="of compression: 1 is quick, 9 is small (default %(default)s)")
    # Options may stand anywhere among the binaries.
    return parser.parse_intermixed_args(words)


def main(words):
    given = arguments(words)
    if not all(part.isdigit() for part in given.user.split(":", 1)):
        raise Refused(f"--user {given.user}: numbers only")
    labels = {}
    for label in given.label:
        key, equals, value = label.partition("=")
        if not key or not equals:
            raise Refused(f"--label {label}: KEY=VALUE")
        labels[key] = value
    files = {}
    for word in given.binaries:
        source, _, target = word.partition("=")
        target = posixpath.normpath("/" + (target or "usr/local/bin/" + os.path.basename(source)).lstrip("/"))
        if target in files:
            raise Refused(f"{target}: given twice")
        with open(source, "rb") as binary:
            files[target] = binary.read()
    entrypoint = given.entrypoint or next(iter(files))
    if entrypoint not in files:
        raise Refused(f"--entrypoint {entrypoint}: the image has only {', '.join(files)}")
    archive, manifest = image(given.reference, files, entrypoint, given.cmd, given.user, labels, given.level)
    # Nobody ever sees half an archive under the final name.
    partial = f"{given.out}.{os.getpid()}.partial"
    with open(partial, "wb") as out:
        out.write(archive)
    os.replace(partial, given.out)
    print(manifest)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Refused, OSError) as problem:
        sys.exit(f"oci-image.py: {problem}")

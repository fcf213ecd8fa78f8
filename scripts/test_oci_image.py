#!/usr/bin/env python3
"""Checks oci-image.py by reading what it wrote the way a container runtime does. Needs only Python."""

import gzip
import hashlib
import importlib.util
import io
import json
import pathlib
import struct
import subprocess
import sys
import tarfile
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("oci-image.py")


def elf(machine=0x3E, segments=(1,), body=b""):
    """A 64-bit little-endian ELF header with program headers of these types."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    return head + b"".join(struct.pack("<I", kind) + bytes(52) for kind in segments) + body


class Archive:
    """An OCI archive, every digest and size checked on the way."""

    def __init__(self, path):
        with tarfile.open(path) as tar:
            self.files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
            self.times = {m.mtime for m in tar}
        self.index = json.loads(self.files["index.json"])
        self.descriptor, = self.index["manifests"]
        self.manifest = json.loads(self.blob(self.descriptor))
        self.config = json.loads(self.blob(self.manifest["config"]))
        layer, = self.manifest["layers"]
        content = gzip.decompress(self.blob(layer))
        assert self.config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(content).hexdigest()]
        self.root = {}
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for member in tar:
                parent = member.name.rpartition("/")[0]
                assert not parent or self.root[parent].isdir(), f"{member.name} before its folder"
                self.root[member.name] = member
            self.bytes = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}

    def blob(self, descriptor):
        data = self.files["blobs/" + descriptor["digest"].replace(":", "/")]
        assert descriptor["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
        assert descriptor["size"] == len(data)
        return data


class OciImage(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.dir = pathlib.Path(self.folder.name)

    def write(self, name, data):
        (self.dir / name).write_bytes(data)
        return str(self.dir / name)

    def run_script(self, *words):
        return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True)

    def build(self, *words, out="out.tar", reference="localhost/lab/x:1"):
        done = self.run_script(str(self.dir / out), reference, *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        archive = Archive(self.dir / out)
        self.assertEqual(done.stdout.strip(), archive.descriptor["digest"])
        return archive

    def test_one_binary(self):
        archive = self.build(self.write("tool", elf(body=b"code")))
        self.assertEqual(archive.config["config"]["Entrypoint"], ["/usr/local/bin/tool"])
        self.assertEqual(archive.config["config"]["User"], "65532:65532")
        self.assertNotIn("Cmd", archive.config["config"])
        self.assertEqual(archive.bytes["usr/local/bin/tool"], elf(body=b"code"))
        self.assertEqual(archive.root["usr/local/bin/tool"].mode, 0o755)
        self.assertIn(b"nonroot:x:65532:65532:", archive.bytes["etc/passwd"])
        self.assertEqual(archive.times, {0})
        self.assertEqual({(m.uid, m.gid, m.mtime) for m in archive.root.values()}, {(0, 0, 0)})

    def test_every_option(self):
        a, b = self.write("a", elf(0xB7)), self.write("b", elf(0xB7))
        archive = self.build(f"{a}=/a", "--cmd", "serve", f"{b}=opt/x/b", "--entrypoint", "/opt/x/b", "--cmd=--port", "--cmd", "1",
                             "--user", "0", "--label", "k=v=w", reference="lab/x:1")
        self.assertEqual(archive.config["architecture"], "arm64")
        self.assertEqual(archive.config["config"]["Entrypoint"], ["/opt/x/b"])
        self.assertEqual(archive.config["config"]["Cmd"], ["serve", "--port", "1"])
        self.assertEqual(archive.config["config"]["Labels"], {"k": "v=w"})
        self.assertEqual(archive.config["config"]["User"], "0")
        self.assertEqual(archive.descriptor["annotations"]["io.containerd.image.name"], "docker.io/lab/x:1")
        self.assertEqual(set(archive.bytes), {"a", "opt/x/b", "etc/passwd", "etc/group"})
        docker, = json.loads(archive.files["manifest.json"])
        self.assertEqual(docker["RepoTags"], ["lab/x:1"])
        self.assertTrue({docker["Config"], *docker["Layers"]} <= set(archive.files))

    def test_the_same_input_gives_the_same_bytes(self):
        tool = self.write("tool", elf(body=bytes(range(256)) * 1000))
        self.build(tool, out="one.tar")
        pathlib.Path(tool).touch()
        self.build(tool, out="two.tar")
        self.assertEqual((self.dir / "one.tar").read_bytes(), (self.dir / "two.tar").read_bytes())
        self.build(self.write("tool", elf(body=b"other")), out="three.tar")
        self.assertNotEqual((self.dir / "one.tar").read_bytes(), (self.dir / "three.tar").read_bytes())

    def test_names(self):
        spec = importlib.util.spec_from_file_location("oci_image", SCRIPT)
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        for given, expected in [("x:1", "docker.io/library/x:1"), ("a/x:1", "docker.io/a/x:1"), ("localhost/x:1", "localhost/x:1"),
                                ("host:5000/x:1", "host:5000/x:1"), ("ghcr.io/a/x:1", "ghcr.io/a/x:1")]:
            self.assertEqual(script.qualified(given), expected)

    def test_refusals(self):
        tool, arm = self.write("tool", elf()), self.write("arm", elf(0xB7))
        text, dynamic = self.write("text", b"#!/bin/sh\n" * 9), self.write("dynamic", elf(segments=(6, 3)))
        rows = [
            (["x", tool], "NAME:TAG"), (["host:5000/x", tool], "NAME:TAG"), (["x:1", tool, arm], "different platforms"),
            (["x:1", text], "not an ELF binary"), (["x:1", dynamic], "dynamically linked"), (["x:1", self.write("odd", elf(2))], "unknown ELF machine 0x2"),
            (["x:1", self.write("cut", elf()[:70])], "cut off"),
            (["x:1", tool, tool], "given twice"), (["x:1", tool, "--entrypoint", "/no"], "the image has only /usr/local/bin/tool"),
            (["x:1", tool, "--user", "root"], "numbers only"), (["x:1", tool, "--label", "k"], "KEY=VALUE"), (["x:1", str(self.dir / "none")], "No such file"),
        ]
        for words, message in rows:
            done = self.run_script(str(self.dir / "no.tar"), *words)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(message, done.stderr, words)
            self.assertNotIn("Traceback", done.stderr, words)
        self.assertEqual([p.name for p in self.dir.iterdir() if "tar" in p.name], [])


if __name__ == "__main__":
    unittest.main()

"""Fetch the dashboard's libraries into `src/bemtevi/serve/web/vendor`, checked by their hashes.

    python scripts/vendor.py

Run by a developer, never at install. Needs npm. The only changes: an import by name becomes one by file, and
the address of a source map that is not shipped goes away.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tarfile
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src" / "bemtevi" / "serve" / "web" / "vendor"


def main() -> None:
    """Fetch, check, copy, and write the manifest."""
    TARGET.mkdir(parents=True, exist_ok=True)
    manifest = []
    for package in tomllib.loads((HERE / "vendor.toml").read_text())["package"]:
        with tempfile.TemporaryDirectory() as folder:
            name = f"{package['name']}@{package['version']}"
            command = ["npm", "pack", name, "--ignore-scripts", "--silent", "--pack-destination", folder]
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603  names of our own file
            (archive,) = Path(folder).glob("*.tgz")
            digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
            if f"sha512-{digest}" != package["integrity"]:
                raise SystemExit(f"{name} is not what it was: its hash differs from vendor.toml.")
            with tarfile.open(archive) as files:
                for source, target in package["files"].items():
                    member = files.extractfile(f"package/{source}")
                    if member is None:
                        raise SystemExit(f"{name} has no {source}.")
                    before = member.read()
                    after = changed(before) if target.endswith((".js", ".css")) else before
                    (TARGET / target).write_bytes(after)
                    manifest.append(
                        {
                            "file": target,
                            "package": package["name"],
                            "version": package["version"],
                            "licence": package["licence"],
                            "source": source,
                            "sha256": hashlib.sha256(after).hexdigest(),
                            "changed": after != before,
                        }
                    )
    (TARGET / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def changed(content: bytes) -> bytes:
    """With imports by file and without source maps."""
    text = content.decode()
    for quote in "'\"":
        text = text.replace(f"from{quote}preact{quote}", f"from{quote}./preact.js{quote}")
        text = text.replace(f"from {quote}preact{quote}", f"from {quote}./preact.js{quote}")
    lines = [line for line in text.splitlines() if not line.startswith("//# sourceMappingURL")]
    return ("\n".join(lines) + "\n").encode()


if __name__ == "__main__":
    main()

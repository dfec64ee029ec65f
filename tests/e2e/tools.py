"""Tools that tests fetch for themselves, once, into build/tools: a test that needs one is skipped, with the reason,
where it cannot be had.

    promtool = tools.promtool()
    python = tools.python_with("schemathesis==4.32.5")
    axe = tools.npm_file("axe-core@4.10.3", "axe.min.js")
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "build" / "tools"


def _once(name, make):
    """The folder of that name, filled by make(folder) unless an earlier run has done so."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    ready = FOLDER / name / ".ready"
    with open(FOLDER / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(FOLDER / name, ignore_errors=True)
            (FOLDER / name).mkdir()
            try:
                make(FOLDER / name)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError) as error:
                output = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
                raise unittest.SkipTest(f"{name} cannot be installed: {output[-1] if output else error}") from None
            ready.touch()
    return FOLDER / name


def promtool():
    """Prometheus' own checker, out of Debian's package, which is unpacked and not installed: nothing starts."""
    if found := shutil.which("promtool"):
        return found

    def make(folder):
        subprocess.run(["apt-get", "download", "-q", "prometheus"], cwd=folder, check=True, capture_output=True, timeout=240)
        package, = folder.glob("prometheus_*.deb")
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True, capture_output=True)
        package.unlink()

    return str(_once("promtool", make) / "usr/bin/promtool")


def python_with(*requirements):
    """A Python with these packages, in a virtual environment of its own."""
    def make(folder):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        subprocess.run([folder / "bin/pip", "install", "-q", "--disable-pip-version-check", "--no-input", *requirements],
                       check=True, capture_output=True, timeout=240, env={**os.environ, "PIP_RETRIES": "1"})

    digest = hashlib.sha256("\n".join(sorted(requirements)).encode()).hexdigest()[:12]
    return str(_once(f"python-{digest}", make) / "bin/python")


def npm_file(package, path):
    """A file of a package of npm, which is unpacked and not installed: none of its scripts runs."""
    def make(folder):
        if shutil.which("npm") is None:
            raise OSError("there is no npm")
        subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, timeout=240)
        archive, = folder.glob("*.tgz")
        subprocess.run(["tar", "-xzf", archive], cwd=folder, check=True, capture_output=True)
        archive.unlink()

    return _once(package.replace("@", "-").replace("/", "-"), make) / "package" / path


def cargo_for_wasi():
    """An environment whose cargo and rustc build for WASI, out of Debian's packages, which are unpacked and not installed."""
    rust = FOLDER.parent / "lib/seam/rust"
    if not (rust / "bin/rustc").exists():
        raise unittest.SkipTest("there is no build/lib/seam/rust: ./dev setup unpacks it")

    def make(folder):
        subprocess.run(["apt-get", "download", "-q", "cargo", "lld-14", "libgit2-1.5", "libssh2-1", "libcurl3-gnutls", "libhttp-parser2.9",
                        "libmbedcrypto7", "libmbedtls14", "libmbedx509-1"], cwd=folder, check=True, capture_output=True, timeout=240)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True, capture_output=True)
            package.unlink()

    usr = _once("cargo", make) / "usr"
    return {"PATH": f"{rust}/bin:{usr}/bin:{os.environ['PATH']}", "LD_LIBRARY_PATH": f"{usr}/lib/x86_64-linux-gnu:{rust}/lib",
            "CARGO_TARGET_WASM32_WASI_LINKER": f"{usr}/bin/wasm-ld-14", "CARGO_TARGET_WASM32_WASI_RUSTFLAGS": "-C linker-flavor=wasm-ld"}


def built(name, script):
    """The folder that a build script of the documents has filled: `script FOLDER`. Anew for each wording of the script."""
    version = hashlib.sha256(script.read_bytes()).hexdigest()[:12]

    def make(folder):
        subprocess.run(["bash", str(script), str(folder)], check=True, capture_output=True, timeout=600)

    return _once(f"{name}-{version}", make)

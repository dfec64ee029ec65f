"""The Debian package, made and looked into: what it holds, what its unit says, and that its program runs from where it was unpacked."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from seam_server import SEAM

BUILD = SEAM.resolve().parent


def output(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


@unittest.skipUnless(shutil.which("dpkg-deb") and shutil.which("cpack"), "dpkg-deb or cpack is not installed")
class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="seam-package-")
        cls.addClassCleanup(folder.cleanup)
        cls.root = pathlib.Path(folder.name) / "root"
        output("cpack", "-G", "DEB", "-B", folder.name, "--config", str(BUILD / "CPackConfig.cmake"), cwd=folder.name)
        (cls.deb,) = pathlib.Path(folder.name).glob("seam_*.deb")
        output("dpkg-deb", "--extract", str(cls.deb), str(cls.root))

    def test_its_program_runs(self):
        version = re.search(r"seam_([0-9.]+)_", self.deb.name)[1]
        self.assertIn(version, output(str(self.root / "usr/bin/seam"), "version"))

    def test_its_libraries_are_named(self):
        depends = output("dpkg-deb", "--field", str(self.deb), "Depends")
        for package in ("adduser", "libc6", "libseccomp2", "libsoci-sqlite3-4.0", "libyaml-cpp0.7"):
            self.assertIn(package, depends)

    def test_the_unit_names_files_of_the_package(self):
        unit = (self.root / "usr/lib/systemd/system/seam.service").read_text()
        self.assertNotIn("@", unit.replace("~@", "").replace(" @", " "), "something was left to fill in")
        (program, config) = re.search(r"^ExecStart=(\S+) serve --config (\S+) ", unit, re.M).groups()
        for path in (program, config, re.search(r"^Documentation=file:(\S+)$", unit, re.M)[1]):
            self.assertTrue((self.root / path.lstrip("/")).is_file(), path)

    def test_its_settings_are_taken(self):
        shown = output(str(self.root / "usr/bin/seam"), "config", "--config", str(self.root / "etc/seam/seam.yaml"), "--json")
        self.assertIn('"port"', shown)
        conffiles = output("dpkg-deb", "--info", str(self.deb), "conffiles")
        self.assertEqual(conffiles.split(), ["/etc/seam/seam.yaml"])

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_systemd_understands_the_unit(self):
        unit = (self.root / "usr/lib/systemd/system/seam.service").read_text().replace("/usr/bin/seam", str(self.root / "usr/bin/seam"))
        path = self.root / "seam.service"
        path.write_text(unit)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True,
                              env={**os.environ, "SYSTEMD_UNIT_PATH": f"{self.root}:"})
        self.assertEqual((done.returncode, [line for line in done.stderr.splitlines() if "seam.service" in line]), (0, []), done.stderr)

    def test_its_scripts_are_shell(self):
        for name in ("postinst", "prerm", "postrm"):
            script = output("dpkg-deb", "--info", str(self.deb), name)
            subprocess.run(["sh", "-n"], input=script, check=True, text=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Functions that are archives, as root and as an ordinary user: their modules, what is refused, versions side by side,
restarts, and what a function can do to its own files and see of others'."""

import base64
import gzip
import io
import json
import os
import pathlib
import shutil
import sys
import tarfile
import tempfile
import unittest

from seam_server import SEAM, Server, wait_until

NOBODY = 65534
LISTING = """
import os
def handle(params):
    got = {}
    for attempt in params['attempts']:
        try:
            got[attempt] = 'got ' + repr(eval(attempt))[:200]
        except Exception as e:
            got[attempt] = type(e).__name__
    return got
"""


def pack(files, change=None):
    """A .tar.gz of {path: text or bytes}; `change` may alter each entry and add others to the tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if change:
            change(tar)
    return out.getvalue()


def with_entry(kind, name="x", link=""):
    def change(tar):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        tar.addfile(info)
    return pack({"main.py": "def handle(params): return 1"}, change)


def form(manifest, content, boundary="a-boundary"):
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="manifest"\r\nContent-Type: application/json\r\n\r\n{json.dumps(manifest)}\r\n'
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="content"\r\n\r\n'
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


class Packages(unittest.TestCase):
    user = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="seam-packages-")
        os.chmod(cls.folder.name, 0o755)
        cls.data = os.path.join(cls.folder.name, "data")
        cls.prefix = []
        if cls.user is not None:
            os.mkdir(cls.data)
            os.chown(cls.data, cls.user, cls.user)
            binary = shutil.copy(SEAM, cls.folder.name)  # where this user may reach it
            cls.prefix = ["setpriv", f"--reuid={cls.user}", f"--regid={cls.user}", "--clear-groups"]
            cls.binary = binary
        cls.start()

    @classmethod
    def start(cls):
        cls.server = Server(data=cls.data, prefix=cls.prefix)
        cls.server.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.folder.cleanup()

    def put(self, name, content, /, **manifest):
        body, headers = form(manifest, content)
        return self.server.call("PUT", f"/api/v1/functions/{name}", body, headers)

    def deploy(self, name, files, **manifest):
        status, body = self.put(name, pack(files), **manifest)
        self.assertIn(status, (200, 201), body)
        return body

    def result(self, name, params=None, **more):
        status, body = self.server.invoke(name, params, **more)
        self.assertEqual(status, 200, body)
        return body["result"]

    def assert_refused(self, answer, message, status=400):
        self.assertEqual(answer[0], status, answer)
        self.assertEqual(answer[1]["error"]["code"], "INVALID_REQUEST", answer)
        self.assertIn(message, answer[1]["error"]["message"])

    def folders(self):
        return sorted(os.listdir(os.path.join(self.data, "packages")))

    # Modules.

    def test_modules_may_be_named_like_those_of_the_harness(self):
        names = ("worker", "log", "frames", "failures", "loading", "json_values", "originals")
        self.deploy("python-named", {"main.py": f"import {', '.join(names)}\ndef handle(params): return [{', '.join(f'{n}.own' for n in names)}]",
                                     **{f"{name}.py": f"own = '{name}'" for name in names}})
        self.assertEqual(self.result("python-named", {}), list(names))
        required = ", ".join(f"require('./{name}').own" for name in names)
        self.deploy("nodejs-named", {"index.js": f"module.exports = () => [{required}];",
                                     **{f"{name}.js": f"exports.own = '{name}';" for name in names}})
        self.assertEqual(self.result("nodejs-named", {}), list(names))

    def test_node_modules_and_package_json(self):
        files = {
            "index.js": "const twice = require('twice'); const { base } = require('./lib/base'); module.exports = async ({ params }) => twice(params.n) + base;",
            "lib/base.js": "exports.base = 100; exports.named = ({ params }) => 'named ' + params.n;",
            "node_modules/twice/package.json": '{"name": "twice", "version": "1.0.0", "main": "it.js"}',
            "node_modules/twice/it.js": "module.exports = (n) => 2 * n;",
        }
        self.deploy("nodejs-common", files)
        self.assertEqual(self.result("nodejs-common", {"n": 4}), 108)
        self.deploy("nodejs-common", files, entry="lib/base.js:named")
        self.assertEqual(self.result("nodejs-common", {"n": 4}), "named 4")
        files = {
            "package.json": '{"type": "module", "main": "src/app.js"}',
            "src/app.js": "import thrice from 'thrice'; import { readFileSync } from 'node:fs'; const word = readFileSync(new URL('word.txt', import.meta.url), 'utf8');"
                          " export default async ({ params }) => thrice(params.n) + word; export const again = () => word;",
            "src/word.txt": "!",
            "node_modules/thrice/package.json": '{"name": "thrice", "exports": {"import": "./it.mjs"}}',
            "node_modules/thrice/it.mjs": "export default (n) => 3 * n;",
        }
        self.deploy("nodejs-module", files)
        self.assertEqual(self.result("nodejs-module", {"n": 4}), "12!")
        self.deploy("nodejs-module", files, entry="src/app.js:again")
        self.assertEqual(self.result("nodejs-module"), "!")

    def test_python_modules(self):
        files = {
            "main.py": "import helper\nimport needed\nfrom pkg import deep\ndef handle(params):\n    return [helper.name, needed.name, deep.where(), params['n']]\n",
            "helper.py": "name = 'beside'\n",
            "pkg/__init__.py": "",
            "pkg/deep.py": "from . import sibling\ndef where(): return sibling.name\nasync def later(context): return __name__ + str(context['params']['n'])\n",
            "pkg/sibling.py": "name = 'sibling'\n",
            "site-packages/needed/__init__.py": "name = 'installed'\n",
        }
        self.deploy("python-modules", files)
        self.assertEqual(self.result("python-modules", {"n": 1}), ["beside", "installed", "sibling", 1])
        self.deploy("python-modules", files, entry="pkg/deep.py:later")
        self.assertEqual(self.result("python-modules", {"n": 1}), "pkg.deep1")
        # Named like a module that is loaded already.
        self.deploy("python-json", {"json.py": "def handle(params): return __name__"}, entry="json.py")
        self.assertEqual(self.result("python-json"), "function")

    def test_an_error_tells_its_place_in_the_functions_own_files(self):
        self.deploy("nodejs-fails", {"index.js": "const deep = require('deep');\nmodule.exports = () => {\n  deep();\n};", "node_modules/deep/index.js": "module.exports = () => { throw new TypeError('deep down'); };"})
        status, body = self.server.invoke("nodejs-fails")
        self.assertEqual(status, 500, body)
        self.assertEqual(body["error"]["details"]["line"], 3, body)
        self.assertIn("node_modules/deep/index.js:1", body["error"]["details"]["stack_trace"])
        self.assertNotIn("/harness", body["error"]["details"]["stack_trace"])
        self.deploy("python-fails", {"main.py": "import deep\n\ndef handle(params):\n    return deep.go()\n", "vendor/deep.py": "def go(): raise ValueError('deep down')\n"})
        status, body = self.server.invoke("python-fails")
        self.assertEqual(status, 500, body)
        self.assertEqual((body["error"]["details"]["line"], body["error"]["details"]["column"]), (4, 12), body)
        self.assertIn('"vendor/deep.py"', body["error"]["details"]["stack_trace"])

    def test_what_cannot_be_loaded_is_refused_at_put_with_its_place(self):
        status, body = self.put("nodejs-bad", pack({"index.js": "\nmodule.exports = () => {\n  return );\n};"}))
        self.assertEqual((status, body["error"]["details"].get("line")), (400, 3), body)
        status, body = self.put("python-bad", pack({"main.py": "def handle(params):\n    return )\n"}))
        self.assertEqual((status, body["error"]["details"].get("line")), (400, 2), body)
        for name, files, entry, message in [
            ("nodejs-bad", {"a.js": ""}, "", 'name the file in "entry"'), ("nodejs-bad", {"a.js": ""}, "b.js", 'holds no "b.js"'), ("nodejs-bad", {"a.js": ""}, "../a.js", "leads out"),
            ("nodejs-bad", {"a.js": "exports.f = 1"}, "a.js:f", "it exports none"), ("nodejs-bad", {"index.js": "require('absent')"}, "", "Cannot find module 'absent'"),
            ("python-bad", {"a.py": ""}, "", "holds no 'main.py'"), ("python-bad", {"a.py": ""}, "../a.py", "leads out"), ("python-bad", {"a.py": ""}, "a.py", "defines neither"),
            ("python-bad", {"a.py": ""}, "a.py:f", "defines no function 'f'"), ("python-bad", {"main.py": "import absent"}, "", "No module named 'absent'"),
        ]:
            with self.subTest(name=name, entry=entry):
                self.assert_refused(self.put(name, pack(files), entry=entry), message)
        self.assertEqual(self.server.call("GET", "/api/v1/functions/python-bad")[0], 404)

    # Archives.

    def test_bad_archives_are_refused_and_leave_nothing(self):
        before = self.folders()
        good = pack({"main.py": "def handle(params): return 1"})
        for content, message, status in [
            (good[: len(good) // 2], "cannot be read", 400), (b"\x1f\x8b\x08" + b"x" * 100, "cannot be read", 400), (gzip.compress(b"no tar"), "cannot be read", 400),
            (pack({}), "holds no files", 400), (with_entry(tarfile.SYMTYPE, link="/etc/passwd"), "leads out", 400), (with_entry(tarfile.SYMTYPE, link="../../x"), "leads out", 400),
            (with_entry(tarfile.LNKTYPE, link="/etc/passwd"), "not in the archive", 400), (with_entry(tarfile.CHRTYPE), "device", 400), (with_entry(tarfile.FIFOTYPE), "device", 400),
            (with_entry(tarfile.REGTYPE, name="../x"), "leads out", 400), (with_entry(tarfile.REGTYPE, name="/x"), "absolute path", 400), (with_entry(tarfile.REGTYPE, name="main.py"), "is there twice", 400),
            (pack({"main.py": "", "zeros": bytes(64 << 20)}), "unpacks to more than 200 times", 413), (pack({f"f{i}": "" for i in range(50_001)}), "more than 50000 files", 413),
        ]:
            with self.subTest(message=message):
                self.assert_refused(self.put("python-refused", content), message, status)
        self.assert_refused(self.put("wasm-refused", good), "does not take")
        self.assertEqual(self.server.call("GET", "/api/v1/functions/python-refused")[0], 404)
        wait_until(lambda: self.folders() == before, what="the folder without leftovers")

    def test_json_with_base64_and_forms_that_are_wrong(self):
        packed = pack({"main.py": "def handle(params): return 'json'"})
        status, body = self.server.call("PUT", "/api/v1/functions/python-json64", {"content": base64.b64encode(packed).decode(), "encoding": "base64"})
        self.assertEqual(status, 201, body)
        self.assertEqual(self.result("python-json64"), "json")
        status, body = self.put("python-source", b"result = params['n'] * 2")
        self.assertEqual(status, 201, body)
        self.assertEqual(self.result("python-source", {"n": 2}), 4)
        self.assert_refused(self.put("python-source", b"result = '\xff'"), "neither a source text in UTF-8")
        self.assert_refused(self.put("python-source", b""), '"content" is missing')
        self.assert_refused(self.put("python-source", b"result = 1", content="x"), "no member of a manifest")
        self.assert_refused(self.put("python-source", b"result = 1", entri="x"), '"entri" is not a member')
        self.assert_refused(self.put("python-source", b"#" * (1 << 20) + b"#"), "at most 1048576", 413)
        call = lambda body, headers: self.server.call("PUT", "/api/v1/functions/python-source", body, headers)
        body, headers = form({}, b"result = 1")
        self.assert_refused(call(body[:-10], headers), "not well formed")
        self.assert_refused(call(body.replace(b'name="manifest"', b'name="other"'), headers), 'the part "other" is not expected')
        self.assert_refused(call(body, {"Content-Type": "multipart/form-data"}), "names no boundary")
        self.assert_refused(call(body, {"Content-Type": "text/plain"}), "application/json or multipart/form-data", 415)
        # A body over the limit is refused by its head alone.
        connection = self.server.connection()
        connection.putrequest("PUT", "/api/v1/functions/python-source")
        for name, value in {**headers, "Content-Length": str(100 << 20)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        self.assert_refused((answer.status, json.loads(answer.read())), "the limit is", 413)
        connection.close()

    # Life.

    def test_two_versions_at_once_and_delete(self):
        name = "python-two"
        first = self.deploy(name, {"main.py": "def handle(params): return 1"})
        self.deploy(name, {"main.py": "def handle(params): return 2"})
        one, two = (self.server.call("POST", f"/api/v1/functions/{name}/invoke?version={v}", {"params": {}})[1]["result"] for v in (1, 2))
        self.assertEqual((one, two), (1, 2))
        hashes = [each["hash"] for each in self.server.call("GET", f"/api/v1/functions/{name}/versions")[1]["versions"]]
        self.assertEqual(hashes[1], first["implementations"][0]["hash"])
        self.assertTrue(set(hashes) <= set(self.folders()))
        self.assertEqual(self.server.call("DELETE", f"/api/v1/functions/{name}")[0], 204)
        wait_until(lambda: not set(hashes) & set(self.folders()), what="the folders' removal")

    def test_restarts(self):
        name = "nodejs-stays"
        self.deploy(name, {"index.js": "module.exports = () => require('./x');", "x.js": "module.exports = 'here';"})
        deleted = "python-goes"
        gone = self.deploy(deleted, {"main.py": "def handle(params): return 'gone'"})["implementations"][0]["hash"]
        root = pathlib.Path(self.data, "packages")
        cls = type(self)
        for harm in (lambda: None, lambda: shutil.rmtree(root), lambda: next(root.glob("*/files/x.js")).write_text("broken"), lambda: (root / ("0" * 64)).mkdir()):
            self.server.stop()
            harm()
            cls.start()
            self.assertEqual(self.result(name), "here")
            self.assertNotIn("0" * 64, self.folders())
        self.assertIn(gone, self.folders())
        self.assertEqual(self.result(deleted), "gone")

    # What it can do.

    def test_a_function_cannot_write_its_files_nor_see_anothers(self):
        other = self.deploy("python-other", {"main.py": "def handle(params): return 1", "secret.txt": "kept"})["implementations"][0]["hash"]
        self.deploy("python-escape", {"main.py": LISTING, "data/text.txt": "mine"})
        attempts = {
            "open('/function/data/text.txt').read()": "got 'mine'", "sorted(os.listdir('/function'))": "got ['data', 'main.py']",
            "open('/function/data/text.txt', 'w')": "OSError PermissionError", "open('/function/new', 'w')": "OSError PermissionError", "os.unlink('/function/main.py')": "OSError PermissionError",
            "os.rename('/function/main.py', '/function/x')": "OSError PermissionError", "os.chmod('/function/main.py', 0o777)": "OSError PermissionError", "os.mkdir('/function/data/d')": "OSError PermissionError",
            "os.listdir('/functions')": "FileNotFoundError PermissionError", f"open('/functions/{other}/files/secret.txt').read()": "FileNotFoundError PermissionError",
            f"open('{self.data}/packages/{other}/files/secret.txt').read()": "FileNotFoundError PermissionError", f"os.listdir('{self.data}')": "FileNotFoundError PermissionError",
            "os.listdir('/function/..')": "PermissionError", "os.stat('/function/main.py').st_mode & 0o222 & ~0o200": "got 0",
        }
        got = self.result("python-escape", {"attempts": list(attempts)})
        for attempt, right in attempts.items():
            with self.subTest(attempt=attempt):
                self.assertIn(got[attempt], [right] if right.startswith("got") else right.split())
        script = "const fs = require('fs'); const t = (f) => { try { return f(); } catch (e) { return e.code; } };"
        script += f"module.exports = () => [t(() => fs.writeFileSync('/function/index.js', '')), t(() => fs.readdirSync('/functions')), t(() => fs.readdirSync('{self.data}/packages')), t(() => fs.readdirSync('/function').length)];"
        self.deploy("nodejs-escape", {"index.js": script})
        wrote, functions, outside, own = self.result("nodejs-escape")
        self.assertIn(wrote, ("EROFS", "EACCES"))
        self.assertIn(functions, ("ENOENT", "EACCES"))
        self.assertIn(outside, ("ENOENT", "EACCES"))
        self.assertEqual(own, 1)
        # A worker without a folder has none of either.
        self.assertEqual(self.server.run_script("python-plain", "import os\nresult = os.path.exists('/function') or os.path.exists('/functions')")[1]["result"], False)

    def test_modes_are_ours(self):
        self.deploy("python-modes", {"main.py": "def handle(params): return 1"})
        root = pathlib.Path(self.data, "packages")
        for folder in (root, *root.iterdir()):
            self.assertEqual(folder.stat().st_mode & 0o777, 0o700, folder)


@unittest.skipUnless(os.geteuid() == 0, "starts as root to become another user")
class PackagesOfAnOrdinaryUser(Packages):
    user = NOBODY

    @classmethod
    def start(cls):
        import seam_server

        cls.server = Server(data=cls.data, prefix=cls.prefix)
        before, seam_server.SEAM = seam_server.SEAM, pathlib.Path(cls.binary)
        try:
            cls.server.start()
        finally:
            seam_server.SEAM = before


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))

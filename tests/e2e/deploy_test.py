"""`seam deploy`: projects packed, sent, and called; what it says, what it leaves alone, what it refuses. The last class
installs published packages at pinned versions into build/, and runs them on real texts."""

import base64
import glob
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

import tools
from seam_server import SEAM, Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
DICTIONARY = pathlib.Path("/usr/share/dict/american-english-insane")  # package wamerican-insane


def write(folder, files):
    for name, text in files.items():
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text) if isinstance(text, str) else path.write_bytes(text)


def make_wheel(folder, name, version, files):
    """A wheel as pip takes it."""
    files = dict(files)
    info = f"{name}-{version}.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = [f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    path = pathlib.Path(folder, f"{name}-{version}-py3-none-any.whl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as wheel:
        for inside, text in files.items():
            wheel.writestr(zipfile.ZipInfo(inside, (2020, 1, 1, 0, 0, 0)), text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


class DeployTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.url = f"http://127.0.0.1:{cls.server.port}"

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory(prefix="seam-deploy-test-")
        self.addCleanup(self._folder.cleanup)
        self.folder = os.path.join(self._folder.name, "project")
        os.mkdir(self.folder)

    def seam(self, *arguments, environment=None, url=True):
        command = [str(SEAM), "deploy", *arguments, *(["--url", self.url] if url else [])]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})}, cwd=self._folder.name)
        return done.returncode, done.stdout, done.stderr

    def deploy(self, *arguments, **more):
        code, out, err = self.seam(self.folder, *arguments, "--json", **more)
        self.assertEqual(code, 0, err)
        return json.loads(out)

    def result(self, name, params=None):
        status, body = self.server.invoke(name, params)
        self.assertEqual(status, 200, body)
        return body["result"]


class Deploy(DeployTest):
    def test_a_project_is_sent_once_and_again_when_it_changed(self):
        write(self.folder, {"index.js": "module.exports = ({ params }) => require('./lib') + params.n;", "lib.js": "module.exports = 'v1 ';", ".git/config": "secret", ".env": "SECRET=1",
                            "seam.function.yaml": "name: nodejs-sent\ndescription: Says it's there\nexamples:\n  - params: {n: it's}\nenvironment: {A: 1}\n"})
        code, out, err = self.seam("project")
        self.assertEqual((code, err.splitlines()), (0, [f"nodejs-sent from {os.path.realpath(self.folder)}", err.splitlines()[1]]), err)
        self.assertIn("sending 3 files, ", err)
        self.assertIn("nodejs-sent is there: version 1\n", out)
        self.assertIn(f"  url      {self.url}/api/v1/functions/nodejs-sent/invoke\n", out)
        self.assertIn("  try      seam invoke nodejs-sent --params '{\"n\":\"it'\\''s\"}' --url " + self.url, out)
        line = out.splitlines()[-1].strip().removeprefix("try").strip()
        tried = subprocess.run(line, shell=True, capture_output=True, text=True, env={**os.environ, "PATH": f"{SEAM.parent}:{os.environ['PATH']}"})
        self.assertEqual(tried.stdout, "\"v1 it's\"\n", tried.stderr)
        function = self.server.call("GET", "/api/v1/functions/nodejs-sent")[1]
        self.assertEqual((function["description"], function["implementations"][0]["options"]["environment"]), ("Says it's there", {"A": "***"}))

        again = self.deploy()
        self.assertEqual((again["status"], again["version"], again["files"], again["created"]), ("unchanged", 1, 3, False))
        self.assertEqual(again["hash"], function["implementations"][0]["hash"])
        os.utime(os.path.join(self.folder, "lib.js"), (1, 1))
        self.assertEqual(self.deploy()["status"], "unchanged")
        self.assertIn("is unchanged: version 1 has the same content", self.seam("project")[1])
        write(self.folder, {"lib.js": "module.exports = 'v2 ';"})
        self.assertEqual((self.deploy()["version"], self.result("nodejs-sent", {"n": 1})), (2, "v2 1"))
        write(self.folder, {"seam.function.yaml": "name: nodejs-sent\n"})
        self.assertEqual(self.deploy()["version"], 3)
        self.assertEqual(self.server.call("GET", "/api/v1/functions/nodejs-sent")[1]["description"], "")

    def test_a_dry_run_sends_nothing(self):
        write(self.folder, {"main.py": "def handle(params): return 1", "notes.md": "", ".seamignore": "*.md\n"})
        code, out, _ = self.seam("project", "python-dry", "--dry-run", url=False)
        self.assertEqual(code, 0)
        self.assertTrue(out.startswith("  main.py\n"), out)
        self.assertEqual(self.deploy("python-dry", "--dry-run")["paths"], ["main.py"])
        self.assertEqual(self.server.call("GET", "/api/v1/functions/python-dry")[0], 404)

    def test_single_files(self):
        write(self.folder, {"hello.py": "result = 'hello ' + params['name']", "say.mjs": "export default () => 'said';"})
        for file, name, result in (("hello.py", "python-hello", "hello you"), ("say.mjs", "nodejs-said", "said")):
            code, _, err = self.seam(f"project/{file}", *([] if name.endswith("hello") else [name]))
            self.assertEqual(code, 0, err)
            self.assertEqual(self.result(name, {"name": "you"}), result)
        module = next(ROOT.glob("build/*/guests/wasm-text_stats.wasm"), None)
        if module:
            shutil.copy(module, self.folder + "/stats.wasm")
            os.remove(self.folder + "/hello.py"), os.remove(self.folder + "/say.mjs")
            self.assertEqual(self.deploy("wasm-stats")["version"], 1)
            self.assertEqual(self.deploy("wasm-stats")["status"], "unchanged")

    def test_node_modules_by_the_lock_file_or_as_they_are(self):
        write(self.folder, {"package.json": '{"name": "p", "version": "1.0.0", "main": "a.js", "dependencies": {"dep": "file:./dep"}, "seam": {"name": "nodejs-npm"}}',
                            "a.js": "module.exports = () => require('dep');", "dep/package.json": '{"name": "dep", "version": "1.0.0"}', "dep/index.js": "module.exports = 'from dep';"})
        code, _, err = self.seam("project")
        self.assertEqual((code, "no package-lock.json" in err), (2, True), err)
        if shutil.which("npm") is None:
            self.skipTest("there is no npm")
        subprocess.run(["npm", "install", "--package-lock-only", "--offline", "--no-audit", "--no-fund"], cwd=self.folder, check=True, capture_output=True)
        code, _, err = self.seam("project")
        self.assertEqual((code, "npm ci --omit=dev, since there is no node_modules" in err), (0, True), err)
        self.assertEqual(self.result("nodejs-npm"), "from dep")
        self.assertFalse(os.path.exists(self.folder + "/node_modules"))
        subprocess.run(["npm", "ci", "--offline", "--no-audit", "--no-fund"], cwd=self.folder, check=True, capture_output=True)
        code, _, err = self.seam("project", "--dry-run")
        self.assertEqual((code, "node_modules is what the lock file names" in err), (0, True), err)
        lock = pathlib.Path(self.folder, "package-lock.json")
        lock.write_text(lock.read_text().replace('"link": true', '"link": true, "version": "2.0.0"'))
        self.assertIn("node_modules is not what the lock file names", self.seam("project", "--dry-run")[2])
        code, _, err = self.seam("project", environment={"PATH": "/nonexistent"})
        self.assertEqual((code, "there is no npm: install Node.js" in err), (2, True), err)

    def test_requirements_from_wheels_with_hashes(self):
        digest = make_wheel(self.folder + "/wheels", "needed", "1.0", {"needed/__init__.py": "name = 'installed'\n"})
        requirements = f"--no-index\nneeded==1.0 --hash=sha256:{digest}\n"
        write(self.folder, {"main.py": "import needed\ndef handle(params): return needed.name", "requirements.txt": requirements})
        sent = self.deploy("python-wheels")
        self.assertEqual(self.result("python-wheels"), "installed")
        paths = self.deploy("python-wheels", "--dry-run")["paths"]
        self.assertIn("site-packages/needed/__init__.py", paths)
        self.assertFalse([path for path in paths if path.startswith("wheels/") or "__pycache__" in path])
        again = self.deploy("python-wheels")
        self.assertEqual((again["status"], again["hash"]), ("unchanged", sent["hash"]))
        self.assertFalse(os.path.exists(self.folder + "/site-packages"))
        write(self.folder, {"requirements.txt": requirements.replace(digest, "0" * 64)})
        code, _, err = self.seam("project", "python-wheels")
        self.assertEqual((code, "pip install" in err, "DO NOT MATCH" in err.upper()), (2, True, True), err)

    def test_a_cargo_project_is_built_and_its_module_sent(self):
        environment = tools.cargo_for_wasi()
        write(self.folder, {"Cargo.toml": "[package]\nname = 'greeter'\nversion = '0.1.0'\nedition = '2021'\n", "src/main.rs": """use std::io::Read;
fn main() {
    let mut params = String::new();
    std::io::stdin().read_to_string(&mut params).unwrap();
    println!("{{\\"bytes\\":{}}}", params.len());
}
"""})
        code, out, err = self.seam("project", "wasm-greeter", environment=environment)
        self.assertEqual(code, 0, err)
        self.assertIn("cargo build --release --target wasm32-wasi", out + err)
        self.assertEqual(self.server.invoke("wasm-greeter", {"a": 1})[1]["result"], {"bytes": len(b'{"a": 1}')})
        write(self.folder, {"src/main.rs": "fn main() { missing(); }\n"})
        code, out, err = self.seam("project", "wasm-greeter", environment=environment)
        self.assertEqual((code, "cannot find function `missing`" in out + err), (2, True), out + err)

    def test_what_is_wrong_is_said_with_its_remedy(self):
        def fails(code, message, *arguments, **more):
            got, out, err = self.seam(*arguments, **more)
            self.assertEqual((got, out), (code, ""), err)
            self.assertIn(message, err)

        fails(2, "Give the folder of a project")
        fails(2, "No such file", "absent")
        fails(2, "what is to be deployed?", "project")
        write(self.folder, {"index.js": "module.exports = () => {\n  return );\n};", "seam.function.yaml": "limits: {queue_max: -1}\n"})
        fails(2, "INVALID_REQUEST: project/seam.function.yaml:1: limits.queue_max is -1: it must be a whole number from 0 to 65536\n", "project")
        write(self.folder, {"seam.function.yaml": "description: d\nlimts: {}\n"})
        fails(2, "project/seam.function.yaml:2: \"limts\" is not a key of a function. Did you mean limits?\n", "project")
        write(self.folder, {"seam.function.yaml": "entry: nothing.js\n"})
        fails(2, "holds no \"nothing.js\", which its entry names\n  in project\n  entry, limits and other keys are from project/seam.function.yaml\n", "project")
        write(self.folder, {"seam.function.yaml": ""})
        fails(2, "INVALID_REQUEST: SyntaxError: Unexpected token ')'\n  in project\nindex.js:2\n", "project")
        fails(2, "INVALID_REQUEST: SyntaxError: Unexpected token ')'\n  in project/index.js:2:10\n", "project/index.js")
        fails(3, "Start it: seam serve", "project", "--url", "http://127.0.0.1:1", url=False)
        write(self.folder, {"Cargo.toml": "[package]\nname = 'x'\nversion = '0.1.0'\n"})
        fails(2, "there is no rustc: install Rust", "project", "wasm-x", environment={"PATH": "/nonexistent"})
        if shutil.which("rustc"):
            folder = subprocess.run(["rustc", "--print", "target-libdir", "--target", "wasm32-wasip1"], capture_output=True, text=True).stdout.strip()
            if not os.path.exists(folder):
                fails(2, "rustup target add wasm32-wasip1", "project", "wasm-x")


class PublishedPackages(DeployTest):
    """Real packages, on several megabytes of real text. What a registry gave is kept in build/packages."""

    KEPT = ROOT / "build" / "packages"

    def text(self):
        if not DICTIONARY.exists():
            self.skipTest(f"{DICTIONARY} is not there: install the package wamerican-insane")
        licences = [pathlib.Path(path).read_text(errors="replace") for path in sorted(glob.glob("/usr/share/common-licenses/*")) if not os.path.islink(path)]
        words = DICTIONARY.read_text().splitlines()
        text = "".join(licences) + "\n".join(words)
        return text[: 4 << 20]

    def wheels(self, *requirements):
        """Downloads these once; the project installs from there, without a network."""
        self.KEPT.mkdir(parents=True, exist_ok=True)
        folder = self.KEPT / "-".join(requirements).replace("=", "")
        if not folder.exists():
            new = folder.with_suffix(f".{os.getpid()}")
            done = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "10", "--python-version", self.python(),
                                   "--only-binary", ":all:", "--no-deps", "--dest", str(new), *requirements], capture_output=True, text=True)
            if done.returncode != 0:
                shutil.rmtree(new, ignore_errors=True)
                self.skipTest(f"{requirements} cannot be downloaded: {done.stderr.strip().splitlines()[-1:]}")
            new.rename(folder)
        shutil.copytree(folder, self.folder + "/wheels")
        write(self.folder, {"requirements.txt": "--no-index\n" + "\n".join(requirements) + "\n"})

    @staticmethod
    def python():
        return subprocess.run(["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True).stdout.strip()

    def test_a_pure_python_library(self):
        text = self.text()
        self.wheels("python-slugify==8.0.4", "text-unidecode==1.3")
        write(self.folder, {"main.py": "from slugify import slugify\n\ndef handle(params):\n    slugs = [slugify(line) for line in params['text'].splitlines()]\n"
                                       "    return {'lines': len(slugs), 'distinct': len(set(slugs)), 'bad': [s for s in slugs if s and not s.replace('-', '').isalnum()], 'some': slugs[-3:]}\n"})
        self.deploy("python-slugs")
        lines = text.splitlines()
        status, body = self.server.invoke("python-slugs", {"text": text}, context={"timeout_ms": 300000})
        self.assertEqual(status, 200, body)
        self.assertEqual((body["result"]["lines"], body["result"]["bad"]), (len(lines), []))
        # The same library outside of Seam says the same.
        program = "import sys, json; sys.path.insert(0, sys.argv[1]); import main; print(json.dumps(main.handle({'text': sys.stdin.read()})))"
        with tempfile.TemporaryDirectory() as target:
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--target", target, "--find-links", "wheels", "-r", "requirements.txt"],
                           cwd=self.folder, check=True)
            outside = subprocess.run(["/usr/bin/python3", "-B", "-c", program, self.folder], input=text, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": target}, check=True)
        self.assertEqual(json.loads(outside.stdout), body["result"])
        print(f"  python-slugify: {len(text.encode())} bytes, {len(lines)} lines, {body['execution_time']} ms", flush=True)

    def test_an_extension_module(self):
        text = self.text()
        self.wheels("orjson==3.10.12")
        write(self.folder, {"main.py": "import hashlib, json, orjson\n\ndef handle(params):\n    packed = orjson.dumps(params['text'].split(), option=orjson.OPT_INDENT_2)\n"
                                       "    return [orjson.__file__, orjson.loads(packed) == params['text'].split(), hashlib.sha256(packed).hexdigest()]\n"})
        self.deploy("python-orjson")
        file, same, digest = self.result("python-orjson", {"text": text})
        self.assertTrue(file.startswith("/function/site-packages/orjson/"), file)
        self.assertTrue(same)
        self.assertEqual(digest, hashlib.sha256(json.dumps(text.split(), indent=2, ensure_ascii=False).encode()).hexdigest())

    def test_a_javascript_library(self):
        if shutil.which("npm") is None:
            self.skipTest("there is no npm")
        text = self.text()
        self.KEPT.mkdir(parents=True, exist_ok=True)
        write(self.folder, {"package.json": '{"name": "slugs", "version": "1.0.0", "dependencies": {"slugify": "1.6.6"}}',
                            "index.js": "const slugify = require('slugify');\nmodule.exports = ({ params }) => {\n  const slugs = params.text.split('\\n').map((line) => slugify(line, { lower: true, strict: true }));\n"
                                        "  return { lines: slugs.length, bad: slugs.filter((s) => !/^[a-z0-9-]*$/.test(s)), digest: require('crypto').createHash('sha256').update(slugs.join('\\n')).digest('hex') };\n};\n"})
        cache = {"npm_config_cache": str(self.KEPT / "npm"), "npm_config_prefer_offline": "true", "npm_config_fetch_retries": "1"}
        done = subprocess.run(["npm", "install", "--package-lock-only", "--no-audit", "--no-fund"], cwd=self.folder, capture_output=True, text=True, env={**os.environ, **cache})
        if done.returncode != 0:
            self.skipTest(f"slugify cannot be had: {done.stderr.strip().splitlines()[:2]}")
        self.deploy("nodejs-slugs", environment=cache)
        status, body = self.server.invoke("nodejs-slugs", {"text": text}, context={"timeout_ms": 300000})
        self.assertEqual(status, 200, body)
        self.assertEqual((body["result"]["lines"], body["result"]["bad"]), (len(text.split("\n")), []))
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=self.folder, check=True, capture_output=True, env={**os.environ, **cache})
        outside = subprocess.run(["node", "-e", "process.stdout.write(JSON.stringify(require('./index.js')({ params: { text: require('fs').readFileSync(0, 'utf8') } })))"], cwd=self.folder, input=text.encode(), capture_output=True, check=True)
        self.assertEqual(json.loads(outside.stdout), body["result"])
        again = self.deploy("nodejs-slugs", environment=cache)
        self.assertEqual(again["status"], "unchanged")
        print(f"  slugify: {len(text.encode())} bytes, {body['result']['lines']} lines, {body['execution_time']} ms", flush=True)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))

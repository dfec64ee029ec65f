"""The web console, as somebody before a browser meets it: a real server, a real browser, keys and clicks.

    SEAM_BINARY=build/release/seam python3 tests/e2e/console_test.py
"""

import json
import pathlib
import re
import tempfile
import unittest
from random import Random

import tools
from browser import Browser
from seam_server import Server, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOSTILE = "<img src=x onerror=window.hit=1>"
SCRIPT = f"""
console.log({HOSTILE!r});
console.error("nul \\u0000 turned \\u202e round \\u001b[31m");
console.log("\\u0645\\u0631\\u062d\\u0628\\u0627");
if (event.params.fail) throw new TypeError("<b>no</b> \\u202e");
return {{markup: {HOSTILE!r}, hidden: "\\u202e\\u0007"}};
"""
NUMBERS = '{"whole": 18446744073709551616, "point": 3.0, "tiny": 1e-7}'

# The contrast of each text that is seen with what is behind it. source: WCAG 2.2, 1.4.3 and its relative luminance.
CONTRAST = """(() => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d", {willReadFrequently: true});
  const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) { const found = rgba(getComputedStyle(at).backgroundColor); if (found[3] === 255) return found; }
    return [255, 255, 255, 255];
  };
  const bad = [];
  let seen = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !element.checkVisibility() || element.closest(":disabled, script, noscript, datalist")) continue;
    seen += 1;
    const [one, two] = [luminance(rgba(getComputedStyle(element).color)), luminance(behind(element))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) bad.push(`${ratio.toFixed(2)} ${element.tagName}.${element.className} ${walk.currentNode.data.slice(0, 40)}`);
  }
  return seen < 10 ? ["hardly any text"] : bad;
})()"""


class Console(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser().__enter__()
        cls.addClassCleanup(cls.browser.__exit__)
        cls.server = Server().start()
        cls.addClassCleanup(cls.server._folder.cleanup)
        cls.addClassCleanup(cls.server.stop)
        cls.put("nodejs-hostile", SCRIPT, description=HOSTILE, tags=[HOSTILE], examples=[{"name": HOSTILE, "params": {"x": HOSTILE}}])
        cls.put("python-two", "def handle(params):\n    return 1")
        cls.put("python-two", "def handle(params):\n    return 2")
        status, answer = cls.server.invoke("nodejs-hostile", {"fail": True, "x": HOSTILE})
        assert status == 500
        cls.failed = answer["error"]["details"]["call_id"]

    @classmethod
    def put(cls, name, content, **more):
        status, answer = cls.server.call("PUT", f"/api/v1/functions/{name}", {"content": content, **more})
        assert status in (200, 201), answer

    def setUp(self):
        self.page = self.browser.page()
        self.answering = {self.server.port}

    def tearDown(self):
        complaints, requests = self.page.complaints(), self.page.requests()
        hit = self.page.evaluate("window.hit")
        self.page.close()
        self.assertEqual(complaints, [])
        self.assertIsNone(hit)
        ours = tuple(f"{scheme}http://127.0.0.1:{port}/" for port in self.answering for scheme in ("", "blob:"))
        self.assertEqual([each for each in requests if not each.startswith((*ours, "about:"))], [])

    def open(self, at="", heading=None):
        self.page.go("about:blank")
        self.page.go(f"http://127.0.0.1:{self.server.port}/console{at}")
        self.page.wait("document.title.includes('– Seam')")
        if heading:
            self.page.wait(f"document.querySelector('h1').innerText === {json.dumps(heading)}")

    def wait_text(self, text, of="document.body"):
        return self.page.wait(f"{of}?.innerText.includes({json.dumps(text)})")

    def focused(self):
        return self.page.evaluate("(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || document.activeElement.labels?.[0]?.innerText || '').trim()")

    def tab_to(self, name, *modifiers):
        """Presses Tab until what has that name is focused, and sees that whatever is focused shows it."""
        for _ in range(80):
            if self.focused() == "Script":
                self.page.press("Escape")  # in the editor Tab indents, but behind an Escape
            self.page.press("Tab", *modifiers)
            shown = self.page.evaluate("[document.activeElement, document.activeElement.closest('.editor, .prefixed')].some((each) => each && getComputedStyle(each).outlineStyle !== 'none')")
            self.assertTrue(shown, f"the focus is not seen on {self.focused()}")
            if self.focused().startswith(name):
                return
        self.fail(f"Tab does not lead to {name}")

    def views(self):
        return {"functions": "", "function": "#/functions/nodejs-hostile", "calls": "#/calls", "call": f"#/calls/{self.failed}",
                "logs": "#/logs?since=1h", "try": "#/try", "server": "#/server", "missing": "#/functions/nodejs-none"}

    def open_view(self, name):
        self.page.go("about:blank")
        self.page.go(f"http://127.0.0.1:{self.server.port}/console{self.views()[name]}")
        self.page.wait("!!document.querySelector('h1') && document.getElementById('status').className === 'good'")
        if name == "logs":
            self.wait_text(HOSTILE)

    def test_files_are_guarded_and_kept(self):
        status, fields, body = self.server.request("GET", "/console")
        self.assertEqual((status, fields["Content-Type"]), (200, "text/html; charset=utf-8"))
        policy = dict(each.strip().split(" ", 1) for each in fields["Content-Security-Policy"].split(";"))
        self.assertEqual(policy, {"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'", "connect-src": "'self'",
                                  "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
                                  "require-trusted-types-for": "'script'", "trusted-types": "'none'"})
        self.assertEqual((fields["X-Content-Type-Options"], fields["X-Frame-Options"], fields["Cache-Control"]), ("nosniff", "DENY", "no-cache"))
        wanted, seen = re.findall(r'"/console/([\w.]+)"', body.decode()), {}
        while wanted:
            name = wanted.pop()
            if name in seen:
                continue
            status, fields, text = self.server.request("GET", f"/console/{name}")
            self.assertEqual((status, fields["X-Content-Type-Options"]), (200, "nosniff"), name)
            self.assertEqual(text, (ROOT / "console" / name).read_bytes())
            seen[name] = fields["ETag"]
            wanted += re.findall(r'^import .* from "\./([\w.]+)";$', text.decode(), re.MULTILINE)
            status, again, nothing = self.server.request("GET", f"/console/{name}", headers={"If-None-Match": f'"other", {fields["ETag"]}'})
            self.assertEqual((status, again["ETag"], nothing), (304, fields["ETag"], b""))
            self.assertEqual(self.server.request("GET", f"/console/{name}", headers={"If-None-Match": '"other"'})[0], 200)
        self.assertEqual({*seen, "index.html"}, {each.name for each in (ROOT / "console").iterdir()})
        for path in ("/console/none.js", "/console/index.html", "/console/..%2fhealth"):
            self.assertEqual(self.server.request("GET", path)[0], 404, path)
        self.assertEqual(self.server.request("GET", "/console", headers={"Host": "stranger.example"})[0], 403)
        self.open()

    def test_a_function_is_found_and_its_route_changed_by_keyboard(self):
        self.open("", "Functions")
        self.tab_to("Find")
        self.page.type("python-two")
        self.page.wait("document.querySelectorAll('tbody tr').length === 1")
        self.tab_to("python-two")
        self.page.press("Enter")
        self.page.wait("document.querySelector('h1').innerText === 'python-two'")
        self.assertEqual(self.page.evaluate("document.activeElement.tagName"), "H1")
        self.assertEqual(self.page.evaluate("document.title"), "python-two – Seam")
        versions = "[...document.querySelectorAll('[aria-label=Versions] tbody tr')].map((row) => [...row.cells].slice(0, 2).map((cell) => cell.innerText).join())"
        self.assertEqual(self.page.evaluate(versions), ["2,all calls", "1,Send calls here"])
        self.tab_to("Send calls to version 1")
        self.page.press("Enter")
        self.page.wait("document.querySelector('dialog').open")
        self.assertEqual(self.focused(), "Cancel")
        self.page.press("Escape")
        self.page.wait("!document.querySelector('dialog')")
        self.assertEqual(self.server.invoke("python-two")[1]["result"], 2)
        self.page.press("Enter")
        self.page.wait("document.querySelector('dialog').open")
        self.tab_to("Send to version 1")
        self.page.press("Enter")
        self.page.wait(f"({versions})[1] === '1,all calls'")
        self.assertEqual(self.server.invoke("python-two")[1]["result"], 1)
        # Back and forward, and a reload, lead to what was there.
        self.page.evaluate("history.back()")
        self.page.wait("document.querySelector('h1').innerText === 'Functions'")
        self.assertEqual(self.page.evaluate("document.querySelector('input[type=search]').value"), "python-two")
        self.page.evaluate("history.forward()")
        self.page.wait("document.querySelector('h1').innerText === 'python-two'")
        self.page.send("Page.reload")
        self.page.wait("performance.getEntriesByType('navigation')[0].type === 'reload' && document.querySelector('h1').innerText === 'python-two'")

    def test_a_version_is_called_and_numbers_stay_as_they_are_written(self):
        self.put("nodejs-echo", "const {readFileSync} = require('fs'); console.log(typeof readFileSync); return event.params.deep ? [[[{}]]] : 1;")
        self.put("python-numbers", "def handle(params):\n    return [params, 3.0, 2 ** 64]")
        self.open("#/functions/python-numbers", "python-numbers")
        self.wait_text("No calls yet.")
        self.page.evaluate("document.querySelector('textarea').select()")
        self.page.evaluate("document.querySelector('textarea').focus()")
        self.page.type(NUMBERS)
        self.page.press("Enter", "Control")
        self.wait_text("18446744073709551616", "document.querySelector('[aria-label=Result]')")
        self.wait_text("3.0", "document.querySelector('[aria-label=Result]')")
        self.wait_text("Call", "document.querySelector('button.run')")  # not Stop: it has ended
        self.page.evaluate("document.querySelector('textarea').select()")
        self.page.type("{nonsense")
        self.page.press("Enter", "Control")
        self.wait_text("Not JSON")

    def test_the_next_call_does_not_wait_for_the_record_of_the_last(self):
        self.put("python-twice", "def handle(params):\n    return params")
        self.open("#/functions/python-twice", "python-twice")
        self.page.evaluate("""{ const real = window.fetch; window.recordsAsked = 0;
            window.fetch = (what, how) => (/\\/calls\\/./.test(String(what)) ? (++window.recordsAsked, new Promise(() => {})) : real(what, how)); }; 0""")
        self.page.evaluate("document.querySelector('textarea').focus()")
        for number in ("1234", "5678"):
            self.page.press("a", "Control")
            self.page.type(number)
            self.page.press("Enter", "Control")
            self.wait_text(number, "document.querySelector('[aria-label=Result]')")
            self.wait_text("Call", "document.querySelector('button.run')")
        self.assertEqual(self.page.evaluate("window.recordsAsked"), 2)

    def test_json_is_laid_out_without_a_change(self):
        self.open()
        random = Random(4)

        def value(depth):
            kind = random.randrange(7 if depth < 5 else 4)
            if kind == 0:
                return random.choice([True, False, None, 0, -1.5, 2 ** 64, 1e300])
            if kind < 4:
                return "".join(random.choice('ab"\\{}[],: \n\u20ac') for _ in range(random.randrange(30)))
            if kind < 6:
                return {f"{i}{random.choice(chr(34) + chr(92) + chr(123))}": value(depth + 1) for i in range(random.randrange(6))}
            return [value(depth + 1) for _ in range(random.randrange(6))]

        for _ in range(60):
            whole = {"first": value(0), "second": value(0), "": value(1)}
            text = json.dumps(whole, ensure_ascii=random.random() < 0.5, indent=random.choice([None, 1]))
            shown, parts, cut = self.page.evaluate(f"""import("/console/text.js").then(({{indented, members}}) => {{
                const text = {json.dumps(text)};
                const every = Math.max(Math.floor(text.length / 50), 1);
                for (let end = 0; end < text.length; end += every) indented(text.slice(0, end));  // it ends, whatever is cut off
                return [indented(text).text, [...members(text)], indented(text, 10).text.length]; }})""")
            self.assertEqual(json.loads(shown), whole)
            self.assertEqual({name: json.loads(part) for name, part in parts}, whole)
            self.assertEqual(cut, 10)

    def test_a_function_is_called_called_wrong_and_deleted(self):
        self.put("nodejs-doomed", "return 1;", schema={"params": {"type": "object", "required": ["x"]}})
        self.open("#/functions/nodejs-doomed", "nodejs-doomed")
        self.page.click("button.run")
        self.wait_text('params has no "x": it is required', "document.querySelector('.notice li')")
        self.page.click("button.danger")
        self.page.wait("document.querySelector('dialog').open")
        self.page.press("Enter")  # Cancel has the focus
        self.page.wait("!document.querySelector('dialog')")
        self.assertEqual(self.server.call("GET", "/api/v1/functions/nodejs-doomed")[0], 200)
        self.page.click("button.danger")
        self.page.wait("document.querySelector('dialog').open")
        self.page.click("dialog .primary")
        self.page.wait("document.querySelector('h1').innerText === 'Functions'")
        self.assertEqual(self.server.call("GET", "/api/v1/functions/nodejs-doomed")[0], 404)

    def test_a_script_is_written_run_and_kept_by_keyboard(self):
        self.open("#/try?language=python", "Try a script")
        self.tab_to("Script")
        self.page.press("a", "Control")
        self.page.type("def handle(params):\n")
        self.page.press("Tab")
        self.page.type("print('seen', params)\n    return params['b'] * 2")
        self.assertEqual(self.page.evaluate("document.querySelector('.editor textarea').value"),
                         "def handle(params):\n    print('seen', params)\n    return params['b'] * 2")
        self.assertEqual(self.page.evaluate("document.querySelector('.numbers').innerText.trim()"), "1\n2\n3")
        self.page.press("Enter", "Control")
        self.wait_text("Result", "document.querySelector('[aria-label=Answer]')")
        self.wait_text("seen {'a': 1, 'b': 2}", "document.querySelector('.log')")
        self.wait_text("in the function", "document.querySelector('.stages')")
        self.assertEqual(self.page.evaluate("document.querySelector('[aria-label=Result]').innerText"), "4")
        # Escape, then Tab, leaves the editor; what was written is there after a reload.
        self.page.press("Escape")
        self.page.press("Tab")
        self.assertTrue(self.focused().startswith("Params"))
        self.page.press("a", "Control")
        self.page.type('{"c": 1}')
        self.page.press("Enter", "Control")
        self.wait_text("RUNTIME_ERROR (threw): KeyError: 'b'")
        self.wait_text("At line 3")
        self.tab_to("Show the line")
        self.page.press("Enter")
        self.assertEqual(self.page.evaluate("getSelection().toString()"), "params['b'] * 2")
        self.page.press("Escape")
        self.page.send("Page.reload")
        self.page.wait("document.querySelector('.editor textarea')?.value.includes('seen')")
        self.tab_to("Name")
        self.page.type("kept")
        self.page.press("Enter")
        self.page.wait("document.querySelector('h1').innerText === 'python-kept'")
        self.assertEqual(self.server.invoke("python-kept", {"b": 4})[1]["result"], 8)

    def test_a_script_that_runs_on_is_stopped(self):
        self.open("#/try?language=nodejs", "Try a script")
        self.page.evaluate("document.querySelector('.editor textarea').select()")
        self.page.click(".editor textarea")
        self.page.press("a", "Control")
        self.page.type("while (true) {}")
        self.page.click("button.run")
        self.wait_text("Stop", "document.querySelector('button.run')")
        busy = "/metrics?family=seam_calls_running"
        wait_until(lambda: b'runtime="nodejs"} 1' in self.server.request("GET", busy)[2], what="the call")
        self.page.click("button.run")
        self.wait_text("Stopped.")
        wait_until(lambda: b'runtime="nodejs"} 0' in self.server.request("GET", busy)[2], what="the end of the call")

        def none_open():
            return self.server.call("GET", "/api/v1/sessions")[1]["total"] == 0

        wait_until(none_open, what="the end of its session")
        # A call that is refused before it begins leaves no session either.
        self.page.evaluate("document.querySelector('.json textarea').value = '['.repeat(600) + ']'.repeat(600)")
        self.page.click("button.run")
        self.wait_text("INVALID_REQUEST", "document.querySelector('[aria-label=Answer]')")
        wait_until(none_open, what="the end of its session")

    def test_a_script_has_no_function_to_go_to(self):
        status, session = self.server.initialize("python-loose", "result = [")
        self.assertEqual(status, 200, session)
        self.assertEqual(self.server.execute(session["request_id"])[0], 500)
        self.assertEqual(self.server.call("DELETE", f"/api/v1/sessions/{session['request_id']}")[0], 204)
        self.open("#/calls?function=python-loose", "Calls")
        self.wait_text("script", "document.querySelector('tbody')")
        self.page.click("tbody a")
        self.page.wait("document.querySelector('h1').innerText === 'Call of python-loose'")
        self.assertEqual(self.page.evaluate("document.querySelectorAll('main a[href^=\"#/functions/\"]').length"), 0)
        self.assertIn("RUNTIME_ERROR: ", self.page.text())
        for unknown in ("python-loose", "loose"):
            self.open_view("functions")
            self.page.evaluate(f"location.hash = '#/functions/{unknown}'; 0")
            self.page.wait("document.querySelector('h1').innerText === 'No such function'")
            self.page.click("main a[href='#/functions']")
            self.page.wait("document.querySelector('h1').innerText === 'Functions'")

    def test_a_failed_call_with_its_stages(self):
        self.open("#/calls?status=error", "Calls")
        self.page.wait(f"!!document.querySelector('a[href=\"#/calls/{self.failed}\"]')")
        self.page.click(f'a[href="#/calls/{self.failed}"]')
        self.page.wait("document.querySelector('h1').innerText === 'Call of nodejs-hostile'")
        text = self.page.text()
        for part in ("RUNTIME_ERROR", "waiting for a worker", "in the function", "the server's part", "<b>no</b> \\u202e", "function.js:", HOSTILE,
                     "nul \\x00 turned \\u202e round \\x1b[31m", "مرحبا", self.failed):
            self.assertIn(part, text)
        self.assertEqual(self.page.evaluate("document.querySelectorAll('main img, main b').length"), 0)
        self.open(f"#/functions/nodejs-hostile?from={self.failed}", "nodejs-hostile")
        self.assertEqual(json.loads(self.page.evaluate("document.querySelector('textarea').value")), {"fail": True, "x": HOSTILE})

    def test_hostile_text_is_text_wherever_it_comes(self):
        self.open("#/functions/nodejs-hostile", "nodejs-hostile")
        self.page.click("button.run")
        self.wait_text(HOSTILE, "document.querySelector('[aria-label=Result]')")
        self.assertIn("\\u202e", self.page.evaluate("document.querySelector('[aria-label=Result]').innerText"))
        self.assertEqual(self.page.evaluate("document.querySelectorAll('main img, main script, main iframe').length"), 0)
        # Were it ever made into markup, the policy would stop it.
        refused = self.page.evaluate("(() => { try { document.body.innerHTML = '<p>'; return ''; } catch (error) { return error.message; } })()")
        self.assertIn("TrustedHTML", refused)
        self.browser.events.clear()
        for at in ("#/functions/%3Cimg%20src=x%20onerror=window.hit=1%3E", "#/%3Cscript%3E", "#/calls/%E0%A4%A"):
            self.page.go("about:blank")
            self.page.go(f"http://127.0.0.1:{self.server.port}/console{at}")
            self.wait_text("All functions")

    def test_logs_are_followed_held_and_searched(self):
        self.put("python-talks", "def handle(params):\n    print(params['say'])")
        self.open("#/logs?function=python-talks", "Logs")
        self.wait_text("Following")
        log = "document.querySelector('.log').innerText"
        # The stream may not have begun when the page says so: lines are printed until one is seen.
        wait_until(lambda: (self.server.invoke("python-talks", {"say": "first"}), "first" in self.page.evaluate(log))[1], what="a line")
        self.tab_to("Pause")
        self.page.press("Space")
        self.server.invoke("python-talks", {"say": "held back"})
        self.server.invoke("python-talks", {"say": "needle " + HOSTILE})
        self.assertNotIn("held back", self.page.evaluate(log))
        self.page.press("Space")
        self.page.wait(f"{log}.includes('needle')")
        self.assertIn("held back", self.page.evaluate(log))
        self.tab_to("Find", "Shift")
        self.page.type("NEEDLE")
        self.page.wait(f"!{log}.includes('held back') && {log}.includes('needle <img')")
        # Who comes later finds what was printed in the last minutes, unless nothing but the future is asked for.
        self.open("#/logs?function=python-talks", "Logs")
        self.page.wait(f"{log}.includes('held back')")
        self.open("#/logs?function=python-talks&since=now", "Logs")
        wait_until(lambda: (self.server.invoke("python-talks", {"say": "second"}), "second" in self.page.evaluate(log))[1], what="a line")
        self.assertNotIn("held back", self.page.evaluate(log))

    def test_workers_and_isolation_as_the_server_says(self):
        self.open("#/server", "Server")
        _, health = self.server.call("GET", "/health")
        layers = health["details"]["isolation"]["layers"]
        rows = self.page.evaluate("[...document.querySelectorAll('[aria-label^=Layers] tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText))")
        self.assertEqual(rows, [[each["name"], "yes" if each["in_force"] else "no", each["detail"], each["meaning"]] for each in layers])
        self.assertEqual(self.page.evaluate("[...document.querySelectorAll('[aria-label=Workers] tbody tr')].map((row) => row.cells[0].innerText)"),
                         sorted(name for name, state in health["components"]["runtimes"].items() if state != "disabled"))
        idle = self.page.evaluate("document.querySelector('[aria-label=Workers] tbody tr').cells[2].innerText")
        self.assertRegex(idle, r"^\d+$")
        self.assertIn("SQLite answers", self.page.text())

    def test_what_is_large(self):
        self.put("nodejs-large", "console.log('y'.repeat(200000)); return 'z'.repeat(6 << 20);")
        self.open("#/functions/nodejs-large", "nodejs-large")
        self.page.click("button.run")
        self.wait_text("The beginning of 6.0 MiB")
        result = "document.querySelector('[aria-label=Result]').innerText.length"
        self.assertEqual(self.page.evaluate(result), 65536)
        with tempfile.TemporaryDirectory() as folder:
            self.browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=folder)
            self.page.click("[data-key=save]")
            saved = pathlib.Path(folder, "result.json")
            wait_until(lambda: saved.exists() and saved.stat().st_size == (6 << 20) + 2, 60, "the file")
            self.assertEqual(json.loads(saved.read_text()), "z" * (6 << 20))
        self.page.click("[data-key=more]")
        self.page.wait(f"{result} === 262144")
        self.page.wait("!!document.querySelector('.line button')")
        self.assertIn("14,384 characters more", self.page.text())
        self.page.click(".line button")
        self.page.wait("document.querySelector('.line .text').innerText.length === 16384")

    def test_many_functions(self):
        for i in range(130):
            self.put(f"python-many_{i:03}", "result = 1", description="one of many")
        self.addCleanup(lambda: [self.server.call("DELETE", f"/api/v1/functions/python-many_{i:03}") for i in range(130)])
        self.open("?x=1#/functions?q=one+of+many", "Functions")
        self.wait_text("130 of ")
        self.assertEqual(self.page.evaluate("document.querySelectorAll('tbody tr').length"), 50)
        self.tab_to("Next")
        self.page.press("Enter")
        self.wait_text("Page 2 of 3")
        self.assertEqual(self.focused(), "Next")
        self.assertIn("page=2", self.page.evaluate("location.hash"))
        self.server.invoke("python-many_050")
        row = "[...document.querySelectorAll('tbody tr')].find((each) => each.cells[0].innerText === 'python-many_050')"
        self.page.wait(f"Number({row}.cells[2].innerText) > 0 && {row}.cells[5].innerText.endsWith('ms') && !!{row}.querySelector('svg')")

    def test_a_hidden_page_asks_for_nothing(self):
        for name in ("functions", "function", "calls", "server"):
            with self.subTest(view=name):
                self.page.close()
                self.page = self.browser.page()
                self.open_view(name)
                self.page.evaluate("""Object.defineProperty(document, "hidden", {get: () => window.away, configurable: true}); window.away = true""")
                # A minute, as the page counts it: what was asked for by then is done.
                before = self.pass_minute()
                self.assertEqual(self.pass_minute(), before)
                self.page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange')); 0")
                # Seen again, it asks at once, and then every few seconds.
                seen = self.pass_minute() - before
                self.assertGreater(seen, 4)
                self.assertLess(seen, 70)

    def pass_minute(self):
        """How many requests there are once a minute of the page's time is over; that takes no minute."""
        expired = len(self.page.events("Emulation.virtualTimeBudgetExpired"))
        self.page.send("Emulation.setVirtualTimePolicy", policy="pauseIfNetworkFetchesPending", budget=60000)
        wait_until(lambda: len(self.page.events("Emulation.virtualTimeBudgetExpired")) > expired, 60, "the minute")
        return len(self.page.requests())

    def test_themes_contrast_and_what_axe_finds(self):
        try:
            axe = tools.npm_file("axe-core@4.10.3", "axe.min.js").read_text()
        except unittest.SkipTest:
            axe = None  # the contrast is looked at all the same
        for theme in ("light", "dark"):
            self.page.media(prefers_color_scheme=theme, prefers_reduced_motion="reduce")
            for name in self.views():
                with self.subTest(theme=theme, view=name):
                    self.open_view(name)
                    self.assertEqual(self.page.evaluate("getComputedStyle(document.querySelector('main > *')).transitionDuration"), "0s")
                    self.assertEqual(self.page.evaluate(CONTRAST), [])
                    if axe:
                        self.page.evaluate(axe + ";0")
                        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((all) => all.violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`))")
                        self.assertEqual(found, [])
        # A theme that is chosen overrules the system's, and stays.
        self.page.media(prefers_color_scheme="light")
        self.open()
        self.tab_to("Theme")
        self.page.type("D")
        self.page.press("ArrowDown")
        self.page.press("ArrowDown")
        self.page.wait("getComputedStyle(document.documentElement).colorScheme === 'dark'")
        self.page.send("Page.reload")
        self.page.wait("performance.getEntriesByType('navigation')[0].type === 'reload' && document.title.includes('– Seam')")
        self.page.wait("getComputedStyle(document.documentElement).colorScheme === 'dark'")
        self.assertEqual(self.page.evaluate("document.getElementById('theme').value"), "dark")
        self.page.evaluate("localStorage.clear()")
        if axe is None:
            self.skipTest("axe-core cannot be had: only the contrast was looked at")

    def test_nothing_sticks_out_of_a_narrow_window(self):
        self.page.size(400, 800)
        for name in self.views():
            with self.subTest(view=name):
                self.open_view(name)
                self.assertLessEqual(self.page.evaluate("document.documentElement.scrollWidth"), 400)

    def test_a_server_that_goes_and_comes_back(self):
        mine = Server().start()
        self.addCleanup(mine._folder.cleanup)
        self.addCleanup(mine.stop)
        for name in mine.call("GET", "/api/v1/functions?per_page=100")[1]["functions"]:
            self.assertEqual(mine.call("DELETE", f"/api/v1/functions/{name['language_title']}")[0], 204)
        port = mine.port
        self.answering.add(port)
        self.page.go(f"http://127.0.0.1:{port}/console")
        self.wait_text("There is no function yet.")
        mine.stop()
        self.wait_text("The server does not answer", "document.getElementById('status')")
        self.page.wait("document.querySelector('main').className === 'stale'")
        self.wait_text("There is no function yet.")  # what was known stays
        self.page.evaluate("location.hash = '#/server'")
        self.wait_text("Start it with seam serve")
        mine.start(port)
        self.page.wait("document.querySelector('h1').innerText === 'Server'", 60)
        self.page.wait("document.getElementById('status').className === 'good' && document.querySelector('main').className === ''", 60)


if __name__ == "__main__":
    unittest.main()

"""Chromium without a window, driven by its DevTools protocol over a pipe: nothing but the browser itself is needed.

    with Browser() as browser:
        page = browser.page()
        page.go("http://127.0.0.1:8080/console")
        page.wait("!!document.querySelector('h1')")
        page.press("Tab")

source    https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "Space": 32, "ArrowDown": 40, "ArrowUp": 38, "Home": 36, "End": 35, "Backspace": 8}
MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}


class Browser:
    """One process of Chromium with a profile of its own, which goes with it. It can reach this machine only."""

    def __init__(self):
        self.program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if self.program is None:
            raise unittest.SkipTest("there is no chromium: apt-get install chromium")

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="seam-browser-", ignore_cleanup_errors=True)
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # The browser has them as 3 and 4; numbers above keep them from overwriting one another on the way.
        passed = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (theirs_in, theirs_out)]
        arguments = ["--headless", "--no-sandbox", "--remote-debugging-pipe", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--force-color-profile=srgb",
                     "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={self.profile.name}", "about:blank"]
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(["bash", "-c", f'exec "$@" 3<&{passed[0]} 4>&{passed[1]}', "bash", self.program, *arguments],
                                        pass_fds=passed, stdout=subprocess.DEVNULL, stderr=self.errors,
                                        env={**os.environ, "HOME": self.profile.name})
        for fd in (theirs_in, theirs_out, *passed):
            os.close(fd)
        self.out, self.into = os.fdopen(ours_out, "wb", buffering=0), os.fdopen(ours_in, "rb")
        self.said = threading.Condition()
        self.answers, self.events, self.ended = {}, [], False
        self.number = 0
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        return self

    def __exit__(self, *unused):
        try:
            self.send("Browser.close")
        except AssertionError:
            self.process.kill()
        self.process.wait(timeout=60)
        self.reader.join()
        for file in (self.out, self.into, self.errors):
            file.close()
        self.profile.cleanup()

    def _read(self):
        rest = b""
        while part := self.into.read1(1 << 16):
            *messages, rest = (rest + part).split(b"\0")
            with self.said:
                for message in map(json.loads, messages):
                    if "id" in message:
                        self.answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self.said.notify_all()
        with self.said:
            self.ended = True
            self.said.notify_all()

    def send(self, method, session=None, **params):
        with self.said:
            self.number += 1
            number = self.number
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        self.out.write(json.dumps(message).encode() + b"\0")
        with self.said:
            self.said.wait_for(lambda: number in self.answers or self.ended, timeout=120)
            answer = self.answers.pop(number, None)
        if answer is None:
            self.errors.seek(0)
            raise AssertionError(f"the browser did not answer {method}: {self.errors.read().decode(errors='replace')[-2000:]}")
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def page(self, width=1280, height=900):
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, target, session, width, height)


class Page:
    def __init__(self, browser, target, session, width, height):
        self.browser, self.target, self.session = browser, target, session
        for domain in ("Page", "Runtime", "Network", "Log", "DOM", "Accessibility"):
            self.send(f"{domain}.enable")
        self.size(width, height)

    def send(self, method, **params):
        return self.browser.send(method, self.session, **params)

    def events(self, *methods):
        with self.browser.said:
            return [each["params"] for each in self.browser.events if each.get("sessionId") == self.session and each["method"] in methods]

    def size(self, width, height):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, **features):
        """media(prefers_color_scheme="dark")"""
        self.send("Emulation.setEmulatedMedia", features=[{"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def go(self, url):
        self.send("Page.navigate", url=url)

    def close(self):
        self.browser.send("Target.closeTarget", targetId=self.target)

    def evaluate(self, expression):
        """The value of an expression in the page, a promise's too."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AssertionError(f"{expression}: {details.get('exception', {}).get('description', details['text'])}")
        return answer["result"].get("value")

    def wait(self, condition, seconds=60):
        """Until an expression holds; the limit is only there so that a failing test ends. Returns its value."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if value := self.evaluate(condition):
                    return value
            except AssertionError as error:
                if "context" not in str(error) and "navigat" not in str(error) and "null" not in str(error):
                    raise  # while a page is exchanged for the next, it has nothing to say
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not come that {condition}; the page says:\n{self.text()}")
            time.sleep(0.02)

    def text(self):
        return self.evaluate("document.body ? document.body.innerText : ''")

    def press(self, key, *modifiers):
        """One key, as from a keyboard: press("Enter", "Control")."""
        bits = sum(MODIFIERS[each] for each in modifiers)
        code = KEYS.get(key, ord(key[0].upper()))
        text = {"Enter": "\r", "Space": " "}.get(key, key if len(key) == 1 else "") if not bits & ~MODIFIERS["Shift"] else ""
        event = {"key": " " if key == "Space" else key, "code": key if key in KEYS else f"Key{key.upper()}", "windowsVirtualKeyCode": code, "modifiers": bits}
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **event, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text):
        self.send("Input.insertText", text=text)

    def click(self, selector):
        """The mouse, in the middle of the first element that fits."""
        at = self.evaluate(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{block: "center"}});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2]; }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def screenshot(self, path, whole=True):
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def requests(self):
        """The address of each request so far."""
        return [each["request"]["url"] for each in self.events("Network.requestWillBeSent")]

    def complaints(self):
        """What the console has of errors and warnings, but for answers that are errors."""
        said = [each["exceptionDetails"].get("exception", {}).get("description") or each["exceptionDetails"]["text"] for each in self.events("Runtime.exceptionThrown")]
        said += [" ".join(str(arg.get("value", arg.get("description"))) for arg in each["args"])
                 for each in self.events("Runtime.consoleAPICalled") if each["type"] in ("error", "warning", "assert")]
        said += [each["entry"]["text"] for each in self.events("Log.entryAdded")
                 if each["entry"]["level"] in ("error", "warning") and each["entry"]["source"] != "network"]
        return said

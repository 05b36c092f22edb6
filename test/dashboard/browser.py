"""A headless Chromium that is driven over two pipes by the DevTools protocol.

Messages are JSON that ends with a NUL; the browser reads them from its
descriptor 3 and writes to 4. Nothing is needed but the standard library.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PATIENCE = 60  # seconds for any answer


class Failed(Exception):
    """The browser did not do what it was asked for."""


class Browser:
    """One process; pages are opened with open_page()."""

    def __init__(self, program="chromium"):
        self.home = tempfile.mkdtemp(prefix="chromium.")
        self.last_id = 0
        self.buffer = b""
        self.pages = {}
        try:
            self._start(program, [])
        except Failed:
            # where user namespaces are not to be had, there is no sandbox
            self._stop_process()
            self._start(program, ["--no-sandbox"])

    def _start(self, program, more):
        to_read, self.to = os.pipe()
        self.answers, to_write = os.pipe()

        def place():
            # both ends may stand where the other one is to go
            high = os.dup(to_read), os.dup(to_write)
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.log = open(os.path.join(self.home, "log"), "ab")
        self.process = subprocess.Popen(
            [program, "--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--no-default-browser-check", "--disable-extensions", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-color-profile=srgb",
             "--font-render-hinting=none",
             "--user-data-dir=" + os.path.join(self.home, "profile")] + more + ["about:blank"],
            close_fds=False, preexec_fn=place, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, "HOME": self.home})
        os.close(to_read)
        os.close(to_write)
        self.buffer = b""
        self.version = self.call("Browser.getVersion")["product"]

    def _stop_process(self):
        for fd in (self.to, self.answers):
            os.close(fd)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def close(self):
        self._stop_process()
        shutil.rmtree(self.home, ignore_errors=True)

    def _message(self, until):
        """The next message, or None when time is up."""
        while b"\0" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.answers], [], [], left)[0]:
                return None
            read = os.read(self.answers, 1 << 20)
            if not read:
                with open(os.path.join(self.home, "log"), "rb") as log:
                    raise Failed("the browser has ended: " + log.read()[-2000:].decode(errors="replace"))
            self.buffer += read
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def _deliver(self, message):
        page = self.pages.get(message.get("sessionId"))
        if page and "method" in message:
            page.event(message["method"], message.get("params", {}))

    def call(self, method, session=None, **params):
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        try:
            os.write(self.to, json.dumps(message).encode() + b"\0")
        except BrokenPipeError as error:
            raise Failed("the browser has ended") from error
        until = time.monotonic() + PATIENCE
        while True:
            answer = self._message(until)
            if answer is None:
                raise Failed(f"{method}: no answer")
            if answer.get("id") == self.last_id:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._deliver(answer)

    def wait_for(self, condition, what):
        until = time.monotonic() + PATIENCE
        while not condition():
            message = self._message(until)
            if message is None:
                raise Failed("waited in vain for " + what)
            self._deliver(message)

    def open_page(self, **look):
        return Page(self, **look)


class Page:
    """A tab. What it complains of and what it asks the network for is noted."""

    def __init__(self, browser, width=1400, height=900, dark=False, zone=None, scale=1):
        self.browser = browser
        self.complaints = []
        self.requests = []
        self.loaded = False
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        browser.pages[self.session] = self
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        if zone:
            self.call("Emulation.setTimezoneOverride", timezoneId=zone)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def event(self, method, params):
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(params["type"] + ": " + json.dumps(params["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["level"] + ": " + params["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append("dialog: " + params["message"])

    def go(self, path):
        self.loaded = False
        self.call("Page.navigate", url="file://" + path)
        self.browser.wait_for(lambda: self.loaded, path)

    def ask(self, expression):
        """The value of an expression of JavaScript."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Failed(expression + ": " + answer["exceptionDetails"].get("exception", {}).get("description", "failed"))
        return answer["result"].get("value")

    def press(self, key, code, text=None):
        what = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **what, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **what)

    def picture(self, path, most=None):
        """All of the page, or its first so many pixels, as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most or size["height"]), "scale": 1}
        png = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(png))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
        del self.browser.pages[self.session]

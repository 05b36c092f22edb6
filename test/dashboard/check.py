"""The page of dashboard() in Chromium: what it shows, to whom, and that it keeps quiet.

DASHBOARD_PAGES is a directory with the pages that test/harness/dashboard has made:
  plain.html     of pools under load, one of which had an outage
  hostile.html   of these and pools, roles, queries and messages that look like markup
  gap.html       plain.html without the middle of its history
  young.html     plain.html without any history, histogram, event or lease
  empty.html     of no pools at all
Pictures of the first are written to DASHBOARD_PICTURES, if that is set.
"""

import datetime
import json
import os
import re
import unittest

from browser import Browser

PAGES = os.environ["DASHBOARD_PAGES"]
PICTURES = os.environ.get("DASHBOARD_PICTURES")
ALL = ("plain", "hostile", "gap", "young", "empty")
SIZES = {"phone": (360, 740), "tablet": (800, 1000), "desktop": (1400, 900)}

# What is outside of the window, and in no box that scrolls.
OUTSIDE = """[...document.querySelectorAll('body *')].filter(e => {
  const box = e.getBoundingClientRect(), hidden = e.closest('.skip, thead, [aria-hidden]');
  return box.width > 0 && !hidden && !e.closest('.scroll') && (box.right > innerWidth + 1 || box.left < -1);
}).map(e => e.tagName + '.' + (e.getAttribute('class') || '') + ' ' + (e.textContent || '').slice(0, 40))"""

# Labels of charts that are cut off or lie over each other.
CUT_LABELS = """[...document.querySelectorAll('svg.chart')].flatMap(chart => {
  const frame = chart.getBoundingClientRect(), labels = [...chart.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
  const cut = labels.filter(([, b]) => b.left < frame.left - 1 || b.right > frame.right + 1 || b.bottom > frame.bottom + 1).map(([t]) => 'cut off: ' + t);
  const over = labels.flatMap(([t, a], i) => labels.slice(i + 1).filter(([, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4).map(([u]) => t + ' over ' + u));
  return cut.concat(over);
})"""

# Text whose contrast with what is behind it is below what WCAG wants (AA).
PALE = """(() => {
  const numbers = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const luminance = c => { const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const e = node.parentElement;
    if (!node.data.trim() || e.closest('script, style, noscript, title, .skip') || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), front = luminance(numbers(e.closest('svg') ? style.fill : style.color)), back = luminance(behind(e));
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < 4.5) found.add(e.tagName + '.' + (e.getAttribute('class') || '') + ' ' + contrast.toFixed(2) + ' ' + node.data.slice(0, 30));
  }
  return [...found];
})()"""


def data_of(name):
    with open(os.path.join(PAGES, name + ".html"), encoding="ascii") as file:
        text = file.read()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))


class Dashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        print(cls.browser.version)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def show(self, name, **look):
        page = self.browser.open_page(**look)
        self.addCleanup(page.close)
        page.path = os.path.join(PAGES, name + ".html")
        page.go(page.path)
        return page

    def is_quiet(self, page):
        self.assertEqual(page.complaints, [])
        self.assertEqual(page.requests, ["file://" + page.path])

    def texts(self, page, selector):
        return page.ask(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")

    def test_every_look(self):
        """No complaint, no request, nothing cut off and nothing pale, in any size and theme."""
        for name in ALL:
            for size, (width, height) in SIZES.items():
                for dark in (False, True):
                    with self.subTest(page=name, size=size, dark=dark):
                        page = self.show(name, width=width, height=height, dark=dark)
                        self.assertEqual(page.ask("document.documentElement.scrollWidth - innerWidth"), 0)
                        self.assertEqual(page.ask(OUTSIDE), [])
                        self.assertEqual(page.ask(CUT_LABELS), [])
                        self.assertEqual(page.ask(PALE), [])
                        lightness = sum(int(n) for n in re.findall(r"\d+", page.ask("getComputedStyle(document.body).backgroundColor"))[:3]) / 3
                        (self.assertLess if dark else self.assertGreater)(lightness, 128)
                        self.is_quiet(page)

    def test_pools(self):
        """The first table has every pool, and each open pool has its part of the page."""
        for name in ("plain", "hostile"):
            data, page = data_of(name), self.show(name)
            rows = page.ask("[...document.querySelectorAll('#pools tbody tr')].map(r => [...r.children].map(c => c.textContent))")
            self.assertEqual(len(rows), len(data["pools"]))
            for row, pool in zip(rows, data["pools"]):
                self.assertEqual(row[0], pool["pool"] + "role " + pool["role"])
                self.assertEqual(row[1], pool["state"])
                self.assertEqual(row[2], pool["breaker"].replace("_", " "))
                self.assertTrue(row[3].startswith(f"{pool['size']} of {pool['max_total']} {pool['active']} active"), row[3])
                self.assertEqual(row[4], str(pool["waiting"]))
            opened = [pool["pool"] for pool in data["pools"] if pool["state"] != "closed" or pool["size"] > 0]
            self.assertEqual(self.texts(page, "article h3"), opened)
            self.assertEqual(page.ask("[...document.querySelectorAll('#pools a')].every(a => document.querySelector(a.getAttribute('href')))"), True)
            for pool, n in zip([pool for pool in data["pools"] if pool["pool"] in opened],
                               page.ask("[...document.querySelectorAll('article')].map(a => a.querySelectorAll('details tbody tr td[data-label=Encryption]').length)")):
                self.assertEqual(n, len(pool["connections"]), pool["pool"])

    def test_plain(self):
        data, page = data_of("plain"), self.show("plain")
        pool = next(pool for pool in data["pools"] if pool["pool"] == "orders")
        # a point for each row of the history that fits, with its numbers
        titles = self.texts(page, "#pool-%d svg .hover title" % (data["pools"].index(pool) + 1))
        self.assertGreater(len(titles), 0)
        self.assertRegex(titles[-1], r"^\d\d:\d\d:\d\d: \d+ open, \d+ active, \d+ waiting, [\d.,]+ queries/s")
        last = pool["history"][-1]
        self.assertIn(f": {last[1]} open, {last[2]} active, {last[3]} waiting, ", titles[-1])
        # bars say what they stand for
        bars = self.texts(page, "#pool-%d svg .query.bar title" % (data["pools"].index(pool) + 1))
        self.assertRegex(bars[0], r"^\S+\s\S+ to \S+\s\S+: [\d,]+ \(.*%\)$")
        # the outage and what followed are on the time line
        outage = data["pools"].index(next(pool for pool in data["pools"] if pool["pool"] == "billing")) + 1
        self.assertGreater(page.ask(f"document.querySelectorAll('#pool-{outage} .band').length"), 0)
        self.assertTrue(any("breaker open" in t for t in self.texts(page, f"#pool-{outage} .mark title")))
        self.assertTrue(any("Breaker opened" in t for t in self.texts(page, f"#pool-{outage} .legend li")))
        self.assertTrue(any("scale up" in t for t in self.texts(page, ".mark.scaling title")))
        # TLS of each connection
        self.assertTrue(any(re.match(r"TLSv1\.\d", t) for t in self.texts(page, "td[data-label=Encryption]")))
        self.assertEqual(len(self.texts(page, "#leases tbody tr")), len(data["leases"]))
        self.assertEqual(len(self.texts(page, "#events tbody tr")), min(len(data["events"]), 60))
        self.is_quiet(page)

    def test_hostile(self):
        """What looks like markup is text, letter for letter."""
        data, page = data_of("hostile"), self.show("hostile")
        self.assertEqual(page.ask("document.scripts.length"), 2)
        self.assertEqual(page.ask("document.querySelectorAll('main b, main script, main img').length"),
                         page.ask("document.querySelectorAll('main .where b, .attention b').length"))
        self.assertIn("<script>alert(1)</script>", self.texts(page, "article h3"))
        self.assertTrue(any("no <script>alert(2)</script> here" in t for t in self.texts(page, "#events td[data-label=Message]")))
        queries = [lease["query"] for lease in data["leases"] if "alert(3)" in (lease["query"] or "")]
        self.assertEqual(len(queries), 1)
        self.assertIn("\u2028", queries[0])
        self.assertIn(queries[0], self.texts(page, "#leases td[data-label='Last query']"))
        self.is_quiet(page)

    def test_gap(self):
        """Where there are no data nothing is drawn, and it is said."""
        plain, gap = self.show("plain"), self.show("gap")
        for selector in ("svg .size", "svg .active"):
            runs = [page.ask(f"document.querySelector('#pool-1 svg.chart path{selector[4:]}').getAttribute('d').split('M').length - 1") for page in (plain, gap)]
            self.assertEqual(runs[1], runs[0] + 1)
        self.assertGreater(gap.ask("document.querySelectorAll('#pool-1 rect.gap title').length"), plain.ask("document.querySelectorAll('#pool-1 rect.gap title').length"))
        self.assertTrue(all(t.startswith("No data from ") for t in self.texts(gap, "rect.gap title")))

    def test_young_and_empty(self):
        page = self.show("young")
        text = page.ask("document.body.textContent")
        for words in ("No history yet", "Nobody has asked for a connection yet", "No query has run yet", "No connection is open", "Nobody holds a connection",
                      "Nothing has happened"):
            self.assertIn(words, text)
        self.assertNotRegex(page.ask("document.body.innerText"), r"NaN|undefined|null|Infinity|Invalid")
        page = self.show("empty")
        self.assertIn("There are no pools", page.ask("document.body.textContent"))
        for name in ("plain", "hostile"):
            self.assertNotRegex(self.show(name).ask("document.body.innerText"), r"NaN|undefined|\bnull\b|Infinity|Invalid")

    def test_zone(self):
        """Times are those of the viewer, and the zone is named."""
        data, page = data_of("plain"), self.show("plain", zone="Asia/Dubai")
        at = datetime.datetime.fromisoformat(data["made_at"]).astimezone(datetime.timezone(datetime.timedelta(hours=4)))
        made = page.ask("document.getElementById('made').textContent")
        self.assertRegex(made, f"Made {at.day} [A-Z][a-z]+ {at:%Y, %H:%M:%S} Asia/Dubai")
        self.assertIn("server " + data["server"]["name"], made)
        self.assertTrue(all("Asia/Dubai" in t for t in self.texts(page, "figure.time figcaption")))

    def test_readers(self):
        """Tables have captions and headings, pictures have descriptions, and headings are in order."""
        page = self.show("hostile")
        self.assertEqual(page.ask("[...document.querySelectorAll('table')].filter(t => !t.caption || !t.querySelector('thead th[scope=col]') || "
                                  "[...t.tBodies[0].rows].some(r => r.cells[0].getAttribute('scope') !== 'row')).length"), 0)
        self.assertEqual(page.ask("[...document.querySelectorAll('svg')].filter(s => !(s.getAttribute('role') === 'img' && s.getAttribute('aria-label')) "
                                  "&& s.getAttribute('aria-hidden') !== 'true').length"), 0)
        self.assertEqual(page.ask("[...document.querySelectorAll('.scroll')].filter(s => s.tabIndex !== 0 || !s.getAttribute('aria-label')).length"), 0)
        levels = page.ask("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => +h.tagName[1])")
        self.assertEqual(levels[0], 1)
        self.assertTrue(all(after - before <= 1 for before, after in zip(levels, levels[1:])), levels)
        ids = page.ask("[...document.querySelectorAll('[id]')].map(e => e.id)")
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(page.ask("document.documentElement.lang"), "en")

    def test_keyboard(self):
        page = self.show("plain")
        page.press("Tab", 9)
        self.assertEqual(page.ask("document.activeElement.className"), "skip")
        page.ask("[...document.querySelectorAll('summary')].find(s => /as a table/.test(s.textContent)).focus()")
        page.press("Enter", 13, "\r")
        # the table is made when a task of the browser says that it was opened
        rows = page.ask("new Promise(done => { let n = 0; const look = () => { const rows = document.activeElement.parentNode.querySelectorAll('tbody tr').length; "
                        "if (rows > 0 || ++n > 500) done(rows); else setTimeout(look, 10); }; look(); })")
        self.assertGreater(rows, 0)

    def test_resize(self):
        """Charts are drawn anew for another width."""
        page = self.show("plain")
        before = page.ask("document.querySelector('#pool-1 svg.chart').getBoundingClientRect().width")
        page.call("Emulation.setDeviceMetricsOverride", width=700, height=900, deviceScaleFactor=1, mobile=False)
        page.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.assertLess(page.ask("document.querySelector('#pool-1 svg.chart').getBoundingClientRect().width"), before)
        self.assertEqual(page.ask(CUT_LABELS), [])
        self.assertEqual(page.ask("document.documentElement.scrollWidth - innerWidth"), 0)

    def test_policy(self):
        """Even a script that got into the page would not run, nor reach anybody."""
        page = self.show("plain")
        page.ask("(() => { const s = document.createElement('script'); s.textContent = 'window.ran = true'; document.body.appendChild(s); })()")
        self.assertIsNone(page.ask("window.ran"))
        self.assertEqual(page.ask("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')"), "refused")
        self.assertTrue(any("Content Security Policy" in complaint for complaint in page.complaints))

    @unittest.skipUnless(PICTURES, "no pictures are wanted")
    def test_pictures(self):
        for name, look, most in (("dashboard", {"width": 1400}, 1500), ("dashboard-dark", {"width": 1400, "dark": True}, 1500),
                                 ("dashboard-phone", {"width": 360, "height": 740, "scale": 2}, 1500)):
            self.show("plain", **look).picture(os.path.join(PICTURES, name + ".png"), most)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""The machine that runs the tests: its browser, and traces of it, which nothing committed may show."""

import re
import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PLACES = "home|root|tmp|usr|opt|mnt|var|work|Users"
MACHINE = re.compile(rf"(?<![\w.:/])/(?:{PLACES})/|\b[A-Z]:\\+(?:Users|Windows|Program)|site-packages")

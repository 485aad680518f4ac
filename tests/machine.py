"""Traces of the machine that something was run on, which nothing committed may show."""

import re

PLACES = "home|root|tmp|usr|opt|mnt|var|work|Users"
MACHINE = re.compile(rf"(?<![\w.:/])/(?:{PLACES})/|\b[A-Z]:\\+(?:Users|Windows|Program)|site-packages")

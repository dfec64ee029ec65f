"""Makes the slug of a title, as it stands in an address.

{"title": "Crème brûlée, please!"}  →  {"slug": "creme-brulee-please"}
"""

import re
import unicodedata


def handle(params):
    plain = unicodedata.normalize("NFKD", params["title"]).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    if not slug:
        raise ValueError("The title has neither letters nor digits")
    print("the slug of", params["title"], "is", slug)  # into the log of the call
    return {"slug": slug}

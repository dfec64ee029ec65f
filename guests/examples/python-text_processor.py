"""Counts and changes text.

{"action": "count_words" | "count_chars" | "uppercase" | "lowercase", "text": string}
→ {"result": number or string}

Words and characters are counted as `wc -w` and `wc -m` count them in a UTF-8 locale.
"""

ACTIONS = {
    "count_words": lambda text: len(text.split()),
    "count_chars": len,
    "uppercase": str.upper,
    "lowercase": str.lower,
}


def handle(params):
    if not isinstance(params, dict):
        raise TypeError("params must be an object with `action` and `text`")
    action, text = params.get("action"), params.get("text")
    if not isinstance(action, str) or action not in ACTIONS:
        raise ValueError(f"unknown action {action!r}: use one of {', '.join(ACTIONS)}")
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, not {type(text).__name__}")
    return {"result": ACTIONS[action](text)}

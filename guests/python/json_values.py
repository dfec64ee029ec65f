"""JSON to Python values and back, as functions get and give them."""

import builtins
import json.encoder
from json.decoder import JSONDecoder

# Built-in names are looked up here: the program may change the builtins.
__builtins__ = dict(vars(builtins))

_encode_string = json.encoder.encode_basestring


def make_decoder():
    scan = JSONDecoder().scan_once

    def far(text):
        # An integer of more digits than int() takes: its nearest number here is a float.
        def number(digits):
            try:
                return int(digits)
            except ValueError:
                return float(digits)

        return JSONDecoder(parse_int=number).decode(text)

    def decode(text):
        try:
            return scan(text, 0)[0]
        except (StopIteration, ValueError):
            return far(text)

    return decode


def _not_json(value):
    raise TypeError(
        f"an object of type {type(value).__name__} is not JSON; "
        "return a dict, list, tuple, str, int, float, bool or None"
    )


def make_encoder():
    markers = {}
    make = json.encoder.c_make_encoder
    if make is None:
        encoder = json.JSONEncoder(
            ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_not_json, check_circular=True
        )
        return encoder.encode
    encode_value = make(markers, _not_json, _encode_string, None, ":", ",", False, False, False)
    join = "".join

    def encode(value):
        try:
            return join(encode_value(value, 0))
        except BaseException:
            markers.clear()
            raise

    return encode

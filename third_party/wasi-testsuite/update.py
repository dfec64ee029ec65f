#!/usr/bin/env python3
"""update.py CHECKOUT: takes the preview 1 tests anew from a checkout of wasi-testsuite's branch prod/testsuite-base.

Names and debug information are 98 % of the modules' bytes, and no test looks at them: each custom section is left out.
"""
import pathlib
import shutil
import sys


def number(data, at):
    """A LEB128 number and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def without_custom_sections(data):
    kept, at = data[:8], 8
    while at < len(data):
        size, begin = number(data, at + 1)
        if data[at] != 0:
            kept += data[at:begin + size]
        at = begin + size
    return kept


def main(checkout):
    here = pathlib.Path(__file__).parent
    shutil.copy(checkout / "LICENSE", here)
    for language in ("assemblyscript", "c", "rust"):
        shutil.rmtree(here / language, ignore_errors=True)
        shutil.copytree(checkout / "tests" / language / "testsuite" / "wasm32-wasip1", here / language)
        for module in (here / language).glob("*.wasm"):
            module.write_bytes(without_custom_sections(module.read_bytes()))


main(pathlib.Path(sys.argv[1]))

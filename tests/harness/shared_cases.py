"""What every harness must do, whatever its language: each names its `language` and gives the source
of some small programs."""

import json
import os
import tempfile
import time

from worker_client import FAILURE, LOADED, Worker

EXACT_TEXTS = [
    "null", "true", "0", "-1", "9007199254740991", "1.5", '""', "[]", "{}", '"é€😀"', '"\\u0000\\n\\"\\\\"',
    '{"a":{"b":[1,2,{"c":null}]}}', '{"__proto__":1,"constructor":2,"toString":3}', '[[],{},""]',
]  # fmt: skip


class SharedCases:
    language = ""
    echo = ""  # gives its params back
    throw_text = ""  # throws an error with the message "boom"
    forever = ""  # prints "before", sleeps 300 ms, prints "after", gives 1
    print_and_wait = ""  # prints one and two, a line each, waits until there is params.file, gives "went on"
    print_many = ""  # params.count times prints params.text and a line end to stdout
    print_both = ""  # prints a b c d to stdout, stderr, stdout, stderr
    make_text = ""  # gives a string of params characters

    def worker(self, source, **options):
        worker = Worker(self.language, source, **options)
        self.addCleanup(worker.close)
        self.assertEqual(worker.loaded.type, LOADED, worker.loaded.text)
        return worker

    def load_failure(self, source, **options):
        worker = Worker(self.language, source, **options)
        self.addCleanup(worker.close)
        self.assertEqual(worker.loaded.type, FAILURE, worker.loaded.text)
        failure = worker.loaded.failure
        self.assertEqual(failure["kind"], "load", failure)
        return failure

    def failure(self, source, params=None, kind="threw", **options):
        failure = self.worker(source, **options).call(params).failure
        self.assertEqual(failure["kind"], kind, failure)
        for hidden in ("worker.js", "loading.js", "failures.js", "worker.py", "loading.py", "node:internal"):
            self.assertNotIn(hidden, failure["stack"])
        return failure

    def value(self, source, params=None, context=None, **options):
        return self.worker(source, **options).call(params, context).value

    def test_values_come_back_byte_for_byte(self):
        worker = self.worker(self.echo)
        for text in EXACT_TEXTS:
            self.assertEqual(worker.call(text.encode()).text.decode(), text)

    def test_numbers_come_back_as_the_nearest_of_the_language(self):
        worker = self.worker(self.echo)
        for text in ("9007199254740993", "3.0", "1e308", "-0.0", "5e-324", "0.1", "1E2"):
            self.assertEqual(float(worker.call(text.encode()).value), float(text))

    def test_512_levels_pass_both_ways(self):
        worker = self.worker(self.echo)
        for text in ("[" * 512 + "]" * 512, '{"a":' * 512 + "1" + "}" * 512):
            self.assertEqual(worker.call(text.encode()).text.decode(), text)

    def test_white_space_around_the_request_is_allowed(self):
        self.assertEqual(self.worker(self.echo).call(b' \n{ "a" : 1 }\t', b" { } ").value, {"a": 1})

    def test_6_mib_of_params_pass(self):
        worker = self.worker(self.echo)
        text = json.dumps("é" * (3 << 20), ensure_ascii=False)
        self.assertEqual(worker.call(text.encode()).text.decode(), text)
        self.assertEqual(worker.call(b"1").value, 1)

    def test_every_size_around_the_buffers_passes(self):
        worker = self.worker(self.echo)
        for size in [n + d for n in (1 << 14, 1 << 16, 1 << 17, 1 << 18) for d in range(-20, 21, 5)]:
            text = '"' + "x" * size + '"'
            self.assertEqual(worker.call(text.encode()).text.decode(), text)

    def test_a_result_at_the_limit_passes_and_one_more_byte_is_refused(self):
        worker = self.worker(self.make_text, result_bytes_max=16 << 20)
        self.assertEqual(len(worker.call((16 << 20) - 2).text), 16 << 20)
        failure = worker.call((16 << 20) - 1).failure
        self.assertEqual(failure["kind"], "result")
        self.assertIn("16777217", failure["message"])
        self.assertIn("16777216", failure["message"])

    def test_a_call_may_follow_the_load_at_once(self):
        worker = Worker(self.language, self.echo, load=False)
        self.addCleanup(worker.close)
        worker.send_call(0)
        self.assertEqual(worker.read_outcome().type, LOADED)
        self.assertEqual(worker.read_outcome().value, 0)

    def test_a_call_after_a_failed_load_is_dropped(self):
        worker = Worker(self.language, "\nthis is ( no program", load=False)
        self.addCleanup(worker.close)
        worker.send_call(1)
        self.assertEqual(worker.read_outcome().failure["line"], 2)
        worker.socket.close()
        self.assertEqual(worker.process.wait(10), 0)

    def test_frames_may_come_in_pieces(self):
        worker = self.worker(self.echo)
        payload = b"\x02\x00\x00\x00{}" + b'"' + b"y" * 70000 + b'"'
        data = (len(payload) + 1).to_bytes(4, "little") + b"\x02" + payload
        for start, end in ((0, 1), (1, 4), (4, 5), (5, 9), (9, 12), (12, 40000), (40000, len(data))):
            worker.socket.sendall(data[start:end])
            time.sleep(0.01)
        self.assertEqual(worker.read_outcome().value, "y" * 70000)

    def test_the_worker_ends_when_the_server_is_gone(self):
        worker = self.worker(self.echo)
        worker.socket.close()
        self.assertEqual(worker.process.wait(10), 0)

    def test_a_worker_lives_on_after_an_error(self):
        worker = self.worker(self.throw_text)
        for _ in range(3):
            self.assertEqual(worker.call().failure["message"], "boom")

    def test_print_goes_to_the_log_in_order(self):
        outcome = self.worker(self.print_both).call()
        self.assertEqual([(s, t.strip()) for s, t in outcome.logs], [(0, b"a"), (1, b"b"), (0, b"c"), (1, b"d")])

    def test_logs_come_out_while_a_call_runs(self):
        worker = self.worker(self.forever)
        started = time.monotonic()
        worker.send_call()
        logs = []
        while b"before" not in b"".join(logs):
            type_, text = worker.read_frame()
            logs.append(text)
        self.assertEqual(type_, 0x84, "the log came only with the result")
        worker.read_outcome()
        self.assertGreater(time.monotonic() - started, 0.25)

    def test_lines_before_a_pause_come_out_in_the_pause(self):
        with tempfile.TemporaryDirectory() as folder:
            worker = self.worker(self.print_and_wait)
            for call in range(2):  # the second follows one that took long
                file = os.path.join(folder, str(call))
                worker.send_call({"file": file})
                seen = b""
                while b"one\ntwo\n" not in seen:  # it goes on only when they were seen
                    type_, text = worker.read_frame()
                    self.assertEqual(type_, 0x84)
                    seen += text[1:]
                time.sleep(0.1)
                open(file, "w").close()
                self.assertEqual(worker.read_outcome().value, "went on")

    def test_small_writes_share_a_frame(self):
        outcome = self.worker(self.print_many).call({"count": 1000, "text": "ab"})
        self.assertEqual(outcome.log(), b"ab\n" * 1000)
        self.assertLess(len(outcome.logs), 20)

    def test_a_log_over_its_limit_is_cut_and_counted(self):
        worker = self.worker(self.print_many, log_bytes_max=1000)
        outcome = worker.call({"count": 500, "text": "é"})
        self.assertEqual(outcome.log(0), ("é\n" * 500).encode()[:1000])
        self.assertEqual(outcome.dropped, 500)
        self.assertEqual(worker.call({"count": 1, "text": "again"}).log(), b"again\n")

    def test_a_million_lines_pass(self):
        outcome = self.worker(self.print_many).call({"count": 1000000, "text": "0123456789"})
        self.assertEqual(len(outcome.log(0)), 256 << 10)
        self.assertEqual(outcome.dropped, 11 * 1000000 - (256 << 10))

    def test_a_line_of_6_mb_is_cut_and_counted(self):
        outcome = self.worker(self.print_many).call({"count": 1, "text": "€" * 2000000})
        self.assertEqual(outcome.log(0), ("€" * 100000).encode()[: 256 << 10])
        self.assertEqual(outcome.dropped, 6000001 - (256 << 10))

    def test_no_log_at_all_may_be_wanted(self):
        outcome = self.worker(self.print_many, log_bytes_max=0).call({"count": 2, "text": "x"})
        self.assertEqual((outcome.log(), outcome.dropped), (b"", 4))

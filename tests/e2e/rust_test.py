"""Functions in Rust as a user meets them: the example, a put, an inline script, errors with their places, and a server without
a toolchain."""

import pathlib
import unittest

from seam_server import Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
GREET = """use serde_json::{json, Map, Value};

pub fn handler(context: Map<String, Value>) -> Result<Value, String> {
    let name = context["params"]["name"].as_str().ok_or("name must be a text")?;
    println!("greeting {}", name);
    Ok(json!({ "hello": name }))
}
"""


class Rust(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_the_example_is_there_at_once_and_answers(self):
        status, body = self.server.invoke("rust-data_validator",
                              {"data": {"age": "x"}, "rules": {"name": "required", "age": ["required", "numeric"]}})
        self.assertEqual(status, 200, body)
        self.assertEqual(body["result"], {"valid": False, "errors": {"name": "is required", "age": "must be numeric"}})
        status, body = self.server.call("GET", "/api/v1/functions/rust-data_validator")
        self.assertEqual(body["language"], "rust")
        for example in body["examples"]:
            status, answer = self.server.invoke("rust-data_validator", example["params"])
            with self.subTest(example["name"]):
                if "result" in example:
                    self.assertEqual(answer["result"], example["result"])
                else:
                    self.assertEqual(answer["error"]["code"], example["error"]["code"])

    def test_a_put_is_compiled_and_called_and_its_log_kept(self):
        status, body = self.server.call("PUT", "/api/v1/functions/rust-greet", {"content": GREET})
        self.assertEqual(status, 201, body)
        status, body = self.server.invoke("rust-greet", {"name": "Ada"})
        self.assertEqual((status, body["result"]), (200, {"hello": "Ada"}))
        status, body = self.server.invoke("rust-greet", {})
        self.assertEqual((status, body["error"]["code"], body["error"]["message"]), (500, "RUNTIME_ERROR", "name must be a text"))

    def test_a_panic_says_where(self):
        source = GREET.replace('Ok(json!({ "hello": name }))', 'panic!("no {}", name)')
        self.assertEqual(self.server.call("PUT", "/api/v1/functions/rust-panics", {"content": source})[0], 201)
        status, body = self.server.invoke("rust-panics", {"name": "Ada"})
        self.assertEqual((status, body["error"]["code"]), (500, "RUNTIME_ERROR"))
        self.assertIn("no Ada", body["error"]["message"])
        self.assertEqual((body["error"]["details"]["line"], body["error"]["details"]["column"]), (6, 5))

    def test_an_error_of_the_compiler_is_400_with_its_place(self):
        wrong = GREET.replace("let name =", "let name: i32 =")
        status, body = self.server.call("PUT", "/api/v1/functions/rust-wrong", {"content": wrong})
        self.assertEqual((status, body["error"]["code"]), (400, "INVALID_REQUEST"))
        self.assertIn("[E0308]: expected `i32`, found `&str`", body["error"]["message"])
        details = body["error"]["details"]
        self.assertEqual(details["line"], 4)
        self.assertIn("function.rs:4:", details["output"])
        self.assertEqual(self.server.call("GET", "/api/v1/functions/rust-wrong")[0], 404)

        status, opened = self.server.initialize("rust-inline", wrong)
        self.assertEqual(status, 200, opened)
        status, body = self.server.execute(opened["request_id"], {"name": "Ada"})
        self.assertEqual((status, body["error"]["code"], body["error"]["details"]["line"]), (400, "INVALID_REQUEST", 4))

    def test_an_inline_script_runs(self):
        status, opened = self.server.initialize("rust-inline", GREET)
        for name in ("Ada", "Grace"):
            status, body = self.server.execute(opened["request_id"], {"name": name})
            self.assertEqual((status, body["result"]), (200, {"hello": name}))

    def test_health_names_the_toolchain(self):
        _, body = self.server.call("GET", "/health")
        self.assertEqual((body["status"], body["components"]["runtimes"]["rust"]), ("ok", "up"))
        self.assertIn("wasm32-wasi", body["details"]["runtimes"]["rust"])


class WithoutToolchain(unittest.TestCase):
    def test_only_what_is_compiled_runs_and_the_rest_is_told_what_to_install(self):
        with Server(environment={"SEAM_RUNTIMES_RUST_TOOLCHAIN": "/nowhere"}) as server:
            _, body = server.call("GET", "/health")
            self.assertEqual((body["status"], body["components"]["runtimes"]["rust"]), ("degraded", "down"))
            status, body = server.invoke("rust-data_validator", {"data": {}, "rules": {}})
            self.assertEqual((status, body["result"]), (200, {"valid": True, "errors": {}}))
            status, body = server.call("PUT", "/api/v1/functions/rust-greet", {"content": GREET})
            self.assertEqual((status, body["error"]["code"]), (503, "UNAVAILABLE"))
            self.assertIn("there is no /nowhere/bin/rustc", body["error"]["message"])
            self.assertIn("libstd-rust-dev-wasm32", body["error"]["message"])


if __name__ == "__main__":
    unittest.main()

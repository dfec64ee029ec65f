"""Schemas and examples of functions, from the put to the call that breaks them."""

import unittest

from seam_server import Server

ADD = "return {sum: event.params.a + event.params.b};"
NUMBERS = {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}


class SchemasTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        assert status == 0, f"exit status {status}: {cls.server.log_text()}"
        cls.server._folder.cleanup()

    def put(self, name, **body):
        return self.server.call("PUT", f"/api/v1/functions/{name}", {"content": ADD, **body})

    def assert_refused(self, answer, instance, schema, message):
        status, body = answer
        self.assertEqual((status, body["error"]["code"]), (400, "INVALID_PARAMS"), body)
        first = body["error"]["details"]["errors"][0]
        self.assertEqual((first["pointer"], first["schema"], first["message"]), (instance, schema, message))

    def test_params_are_checked_before_a_worker_is_asked(self):
        status, body = self.put("nodejs-checked", schema={"params": NUMBERS})
        self.assertEqual(status, 201, body)
        status, body = self.server.invoke("nodejs-checked", {"a": 1, "b": 2})
        self.assertEqual((status, body["result"]), (200, {"sum": 3}))
        self.assert_refused(self.server.invoke("nodejs-checked", {"a": 1, "b": "2"}), "/b",
                            "/params/properties/b/type", 'is "2": must be a number')
        self.assert_refused(self.server.invoke("nodejs-checked", {"a": 1}), "", "/params/required",
                            'has no "b": it is required')

    def test_a_session_of_the_function_is_checked_and_one_with_a_script_is_not(self):
        self.put("nodejs-insession", schema={"params": NUMBERS})
        for script, status in ((None, 400), (ADD, 200)):
            code, session = self.server.initialize("nodejs-insession", script)
            self.assertEqual(code, 200, session)
            code, answer = self.server.execute(session["request_id"], {"a": "x", "b": "y"})
            self.assertEqual(code, status, answer)

    def test_a_version_keeps_its_own_schema_over_routes_and_restarts(self):
        server = Server().start()
        try:
            name = "/api/v1/functions/nodejs-versions"
            old = {"params": {"properties": {"a": {"type": "string"}}}}
            new = {"params": {"properties": {"a": {"type": "number"}}}}
            server.call("PUT", name, {"content": ADD, "schema": old, "examples": [{"params": {"a": "x", "b": "y"}}]})
            server.call("PUT", name, {"content": ADD, "schema": new})

            def expect(number, text, schema):
                self.assertEqual(server.invoke("nodejs-versions", {"a": 1, "b": 2})[0], number)
                self.assertEqual(server.invoke("nodejs-versions", {"a": "1", "b": 2})[0], text)
                self.assertEqual(server.call("GET", name)[1]["schema"], schema)

            expect(200, 400, new)
            status, body = server.call("POST", name + "/invoke?version=1", {"params": {"a": 1, "b": 2}})
            self.assertEqual((status, body["error"]["code"]), (400, "INVALID_PARAMS"), body)
            self.assertEqual(server.call("PUT", name + "/route", {"version": 1})[0], 200)
            expect(400, 200, old)
            self.assertEqual(len(server.call("GET", name)[1]["examples"]), 1)
            data, folder = server.data, server._folder
            server.stop()
            server = Server(data=data).start()
            server._folder = folder
            expect(400, 200, old)
        finally:
            server.stop()
            server._folder.cleanup()

    def test_a_schema_that_is_none_is_refused_with_its_place(self):
        for schema, pointer, words in (
            ({"params": {"properties": {"a": {"type": "nubmer"}}}}, "/params/properties/a/type", "nubmer"),
            ({"params": {"$ref": "http://127.0.0.1:1/x.json"}}, "/params/$ref", "never fetched"),
            ({"result": {"pattern": "("}}, "/result/pattern", "RE2"),
            ({"type": "object"}, "", "params"),
        ):
            status, body = self.put("nodejs-refused", schema=schema)
            self.assertEqual((status, body["error"]["code"]), (400, "INVALID_REQUEST"), body)
            self.assertEqual(body["error"]["details"]["pointer"], pointer, body)
            self.assertIn(words, body["error"]["message"])
        self.assertEqual(self.server.call("GET", "/api/v1/functions/nodejs-refused")[0], 404)

    def test_examples_that_break_the_schema_are_refused(self):
        status, body = self.put("nodejs-badexample", schema={"params": NUMBERS}, examples=[{"params": {"a": 1}}])
        self.assertEqual((status, body["error"]["details"]["pointer"]), (400, "/0/params"), body)
        status, body = self.put("nodejs-badexample", examples=[{"result": 1}])
        self.assertEqual((status, body["error"]["details"]["pointer"]), (400, "/0"), body)

    def test_large_numbers_are_themselves(self):
        self.put("nodejs-large", schema={"params": {"properties": {"a": {"type": "integer", "minimum": 0}}}})
        for number, status in (("18446744073709551616", 200), ("1e30", 200), ("-1", 400), ("1.5", 400)):
            text = f'{{"params": {{"a": {number}, "b": 0}}}}'
            self.assertEqual(self.server.call("POST", "/api/v1/functions/nodejs-large/invoke", text)[0], status, number)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""The calculator as each Python host wants it: functions-framework loads `calculator`, uvicorn loads `app`."""
import json
import operator

OPERATIONS = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv}


def calculate(params):
    return {"result": OPERATIONS[params["operation"]](params["a"], params["b"])}


def calculator(request):
    return calculate(request.get_json())


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    answer = json.dumps(calculate(json.loads(body))).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]})
    await send({"type": "http.response.body", "body": answer})

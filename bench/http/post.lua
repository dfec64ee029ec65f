wrk.method = "POST"
wrk.body = '{"operation":"add","a":1,"b":2}'
wrk.headers["Content-Type"] = "application/json"

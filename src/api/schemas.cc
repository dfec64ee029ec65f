#include "api/schemas.h"

namespace seam::api {

// A member of a request that is null counts as left out, but for params.
std::string_view schemas_json() {
  return R"json({
"Error": {
  "type": "object",
  "description": "Why there is no result; the message says what to do.",
  "required": ["request_id", "error"],
  "additionalProperties": false,
  "properties": {
    "request_id": {"type": "string"},
    "error": {
      "type": "object",
      "required": ["code", "message", "details"],
      "additionalProperties": false,
      "properties": {
        "code": {"enum": ["INVALID_REQUEST", "INVALID_PARAMS", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "RATE_LIMITED",
                          "RUNTIME_ERROR", "TIMEOUT", "INTERNAL_ERROR", "UNAVAILABLE"]},
        "message": {"type": "string"},
        "details": {
          "type": "object",
          "description": "Of a RUNTIME_ERROR: what failed and where, as far as the language tells.",
          "properties": {
            "call_id": {"type": "string"},
            "kind": {"type": "string"},
            "type": {"type": "string"},
            "line": {"type": "integer"},
            "column": {"type": "integer"},
            "stack_trace": {"type": "string"}
          }
        }
      }
    }
  }
},
"Status": {
  "type": "object",
  "required": ["status"],
  "properties": {"status": {"type": "string"}}
},
"Health": {
  "type": "object",
  "required": ["status", "version", "components", "details"],
  "properties": {
    "status": {"enum": ["ok", "degraded"]},
    "version": {"type": "string"},
    "components": {
      "type": "object",
      "required": ["controller", "redis", "postgres", "runtimes"],
      "properties": {"runtimes": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/PartState"}}},
      "additionalProperties": {"$ref": "#/components/schemas/PartState"}
    },
    "details": {"type": "object"}
  }
},
"OpenApi": {
  "type": "object",
  "required": ["openapi", "info", "paths", "components"],
  "properties": {"openapi": {"type": "string"}}
},
"PartState": {"enum": ["up", "down", "disabled"]},
"Context": {
  "type": ["object", "null"],
  "description": "The function gets all of it; Seam reads these keys.",
  "properties": {
    "timeout_ms": {"type": "integer", "minimum": 1, "maximum": 900000, "default": 30000, "description": "Waiting included."},
    "retain_session": {"type": "boolean", "default": true, "description": "false: the session ends after its first execute."},
    "user_id": {"type": "string"},
    "environment": {"anyOf": [{"$ref": "#/components/schemas/Environment"}, {"type": "string"}]},
    "cacheable": {"type": ["boolean", "null"], "description": "Whether results of equal calls are kept and answered again."},
    "compile_options": {
      "type": "object",
      "description": "Of the WebAssembly that runs: which engine, for a function in wasm or rust. Other keys are kept.",
      "properties": {
        "engine": {"$ref": "#/components/schemas/EngineName"},
        "fallback": {"$ref": "#/components/schemas/EngineName"},
        "isolation": {"const": "process"}
      }
    }
  }
},
"EngineName": {"type": "string", "minLength": 1, "maxLength": 64, "examples": ["wasmtime"], "description": "An engine of this server: wasmtime, wazero or wasmi."},
"Environment": {
  "type": "object",
  "description": "Variables of the function's worker.",
  "maxProperties": 256,
  "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,255}$"},
  "additionalProperties": {"type": "string", "maxLength": 65536, "pattern": "^[^\\u0000]*$"}
},
"Initialize": {
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "context": {"$ref": "#/components/schemas/Context"},
    "script_content": {"type": ["string", "null"], "description": "Left out for a registered function. Of wasm: the module in base64."}
  }
},
"SessionOpened": {
  "type": "object",
  "required": ["request_id", "status", "expires_at"],
  "additionalProperties": false,
  "properties": {
    "request_id": {"type": "string", "format": "uuid"},
    "status": {"const": "initialized"},
    "expires_at": {"type": "string", "format": "date-time"}
  }
},
"Session": {
  "type": "object",
  "required": ["request_id", "language_title", "status", "created_at", "expires_at", "execution_count", "last_executed_at"],
  "additionalProperties": false,
  "properties": {
    "request_id": {"type": "string", "format": "uuid"},
    "language_title": {"type": "string"},
    "status": {"const": "initialized"},
    "created_at": {"type": "string", "format": "date-time"},
    "expires_at": {"type": "string", "format": "date-time"},
    "execution_count": {"type": "integer", "minimum": 0},
    "last_executed_at": {"type": ["string", "null"], "format": "date-time"}
  }
},
"SessionPage": {
  "type": "object",
  "required": ["total", "page", "per_page", "sessions"],
  "additionalProperties": false,
  "properties": {
    "total": {"type": "integer", "minimum": 0},
    "page": {"type": "integer", "minimum": 1},
    "per_page": {"type": "integer", "minimum": 1, "maximum": 100},
    "sessions": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/Session"}}
  }
},
"ChangeSession": {
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "context": {"$ref": "#/components/schemas/Context"},
    "script_content": {"type": ["string", "null"]},
    "expires_at": {"type": ["string", "null"], "format": "date-time", "description": "In the future, at most 366 days ahead."}
  }
},
"Execute": {
  "type": "object",
  "additionalProperties": false,
  "properties": {"params": {"description": "Any JSON value; {} if left out."}}
},
"InvokeFunction": {
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "params": {"description": "Any JSON value; {} if left out."},
    "context": {"$ref": "#/components/schemas/Context"}
  }
},
"CallAnswer": {
  "type": "object",
  "required": ["result", "request_id", "call_id", "language_title", "execution_time", "cached"],
  "additionalProperties": false,
  "properties": {
    "result": {"description": "What the function returned: any JSON value."},
    "request_id": {"type": "string", "format": "uuid"},
    "call_id": {"type": "string", "format": "uuid"},
    "language_title": {"type": "string"},
    "execution_time": {"type": "number", "minimum": 0, "description": "Milliseconds, waiting included."},
    "cached": {"type": "boolean"}
  }
},
"CallSummary": {
  "type": "object",
  "description": "What the record of a call says of it.",
  "required": ["call_id", "session", "language_title", "version", "started_at", "duration_ms", "status", "status_code", "cached", "user_id", "error"],
  "properties": {
    "call_id": {"type": "string", "format": "uuid"},
    "session": {"type": ["string", "null"], "format": "uuid"},
    "language_title": {"type": "string"},
    "version": {"type": ["integer", "null"], "description": "null: a session's own script."},
    "started_at": {"type": "string", "format": "date-time"},
    "duration_ms": {"type": "number", "minimum": 0},
    "status": {"enum": ["ok", "error"]},
    "status_code": {"type": "integer"},
    "cached": {"type": "boolean"},
    "user_id": {"type": "string"},
    "error": {
      "type": ["object", "null"],
      "required": ["code", "message"],
      "additionalProperties": false,
      "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "stack_trace": {"type": "string"}}
    }
  }
},
"CallPage": {
  "type": "object",
  "required": ["total", "total_is_exact", "page", "per_page", "calls"],
  "additionalProperties": false,
  "properties": {
    "total": {"type": "integer", "minimum": 0, "maximum": 10000},
    "total_is_exact": {"type": "boolean", "description": "false: there are more than were counted."},
    "page": {"type": "integer", "minimum": 1},
    "per_page": {"type": "integer", "minimum": 1, "maximum": 100},
    "calls": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/CallSummary"}}
  }
},
"Call": {
  "allOf": [{"$ref": "#/components/schemas/CallSummary"}],
  "type": "object",
  "required": ["stages", "runtime_metrics", "client_ip", "request_headers", "request_payload", "response_payload", "logs"],
  "properties": {
    "stages": {
      "type": "array",
      "description": "Where its time went, in order; empty for a kept result.",
      "items": {
        "type": "object",
        "required": ["name", "ms"],
        "additionalProperties": false,
        "properties": {"name": {"enum": ["queue", "start", "run"]}, "ms": {"type": "number", "minimum": 0}}
      }
    },
    "runtime_metrics": {
      "type": ["object", "null"],
      "properties": {"engine": {"type": "string", "description": "The WebAssembly engine that ran it; absent where none did."}}
    },
    "client_ip": {"type": "string"},
    "request_headers": {"type": "object"},
    "request_payload": {"type": "string", "description": "The first 4 KiB of the params, secrets masked."},
    "response_payload": {"type": "string", "description": "The first 4 KiB of the result, secrets masked."},
    "logs": {"type": "array", "items": {"$ref": "#/components/schemas/LogLine"}}
  }
},
"LogLine": {
  "type": "object",
  "required": ["time", "call_id", "line", "function", "session", "stream", "text"],
  "additionalProperties": false,
  "properties": {
    "time": {"type": "string", "format": "date-time"},
    "call_id": {"type": "string", "format": "uuid"},
    "line": {"type": "integer", "minimum": 0, "description": "Its number within the call."},
    "function": {"type": "string"},
    "session": {"type": ["string", "null"], "format": "uuid"},
    "stream": {"enum": ["stdout", "stderr", null]},
    "text": {"type": "string"}
  }
},
"LogPage": {
  "type": "object",
  "required": ["total", "total_is_exact", "page", "per_page", "logs"],
  "additionalProperties": false,
  "properties": {
    "total": {"type": "integer", "minimum": 0, "maximum": 10000, "description": "Calls that printed something."},
    "total_is_exact": {"type": "boolean"},
    "page": {"type": "integer", "minimum": 1},
    "per_page": {"type": "integer", "minimum": 1, "maximum": 100},
    "logs": {
      "type": "array",
      "items": {
        "anyOf": [
          {"$ref": "#/components/schemas/LogLine"},
          {
            "type": "object",
            "description": "A call whose lines did not fit: ask for it by its id.",
            "required": ["call_id", "function", "omitted_bytes"],
            "additionalProperties": false,
            "properties": {"call_id": {"type": "string"}, "function": {"type": "string"}, "omitted_bytes": {"type": "integer"}}
          }
        ]
      }
    }
  }
},
"FunctionSummary": {
  "type": "object",
  "required": ["language", "title", "language_title", "description", "version", "tags", "created_at", "updated_at"],
  "properties": {
    "language": {"type": "string"},
    "title": {"type": "string"},
    "language_title": {"type": "string"},
    "description": {"type": "string"},
    "version": {"type": "integer", "minimum": 1},
    "tags": {"type": "array", "items": {"type": "string"}},
    "created_at": {"type": "string", "format": "date-time"},
    "updated_at": {"type": "string", "format": "date-time"}
  }
},
"FunctionPage": {
  "type": "object",
  "required": ["total", "page", "per_page", "functions"],
  "additionalProperties": false,
  "properties": {
    "total": {"type": "integer", "minimum": 0},
    "page": {"type": "integer", "minimum": 1},
    "per_page": {"type": "integer", "minimum": 1, "maximum": 100},
    "functions": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/FunctionSummary"}}
  }
},
"Function": {
  "allOf": [{"$ref": "#/components/schemas/FunctionSummary"}],
  "type": "object",
  "required": ["schema", "examples", "implementations", "route"],
  "properties": {
    "schema": {"type": ["object", "null"], "description": "JSON Schemas of params and result."},
    "examples": {"type": "array"},
    "implementations": {"type": "array", "items": {"$ref": "#/components/schemas/Implementation"}, "description": "Those that are routed to."},
    "route": {
      "type": "array",
      "items": {
        "type": "object",
        "required": ["implementation_id", "version", "weight", "shadow"],
        "additionalProperties": false,
        "properties": {
          "implementation_id": {"type": "integer"},
          "version": {"type": "integer", "minimum": 1},
          "weight": {"type": "number"},
          "shadow": {"type": "boolean"}
        }
      }
    }
  }
},
"Implementation": {
  "type": "object",
  "required": ["id", "version", "runtime", "engine", "hash", "content_bytes", "created_at", "options", "routed"],
  "properties": {
    "id": {"type": "integer"},
    "version": {"type": "integer", "minimum": 1},
    "runtime": {"type": "string"},
    "engine": {"type": "string", "description": "The engine that it names; empty for the server's."},
    "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "content_bytes": {"type": "integer", "minimum": 0},
    "created_at": {"type": "string", "format": "date-time"},
    "options": {"type": "object", "description": "As put, with the defaults of then; values of variables are not shown."},
    "routed": {"type": "boolean"}
  }
},
"VersionList": {
  "type": "object",
  "required": ["language_title", "versions"],
  "additionalProperties": false,
  "properties": {
    "language_title": {"type": "string"},
    "versions": {"type": "array", "items": {"$ref": "#/components/schemas/Implementation"}}
  }
},
"RouteFunction": {
  "type": "object",
  "required": ["version"],
  "additionalProperties": false,
  "properties": {"version": {"type": "integer", "minimum": 1, "maximum": 9223372036854775807, "examples": [1]}}
},
"PutFunction": {
  "type": "object",
  "required": ["content"],
  "additionalProperties": false,
  "properties": {
    "content": {"type": "string", "minLength": 1, "description": "A source text, or a module or archive in base64."},
    "encoding": {"enum": ["utf-8", "base64", null], "default": "utf-8"},
    "runtime": {"type": ["string", "null"], "description": "By the function's name if left out."},
    "entry": {"type": ["string", "null"], "maxLength": 256, "description": "What of the content is called."},
    "description": {"type": ["string", "null"]},
    "schema": {"type": ["object", "null"], "description": "JSON Schemas of params and result."},
    "examples": {"type": ["array", "null"]},
    "tags": {"type": ["array", "null"], "items": {"type": "string"}},
    "limits": {
      "type": ["object", "null"],
      "additionalProperties": false,
      "properties": {
        "memory_bytes_max": {"type": "integer", "minimum": 33554432, "maximum": 68719476736},
        "disk_bytes_max": {"type": "integer", "minimum": 1048576, "maximum": 1073741824},
        "processes_max": {"type": "integer", "minimum": 16, "maximum": 4096},
        "log_bytes_max": {"type": "integer", "minimum": 0, "maximum": 16777216},
        "result_bytes_max": {"type": "integer", "minimum": 1, "maximum": 268435456},
        "workers_max": {"type": "integer", "minimum": 1, "maximum": 1024},
        "queue_max": {"type": "integer", "minimum": 0, "maximum": 65536},
        "timeout_ms": {"type": "integer", "minimum": 1, "maximum": 900000}
      }
    },
    "concurrency": {"type": ["integer", "null"], "minimum": 1, "maximum": 1024, "description": "Calls that run at once."},
    "environment": {"anyOf": [{"$ref": "#/components/schemas/Environment"}, {"type": "null"}]},
    "cacheable": {"type": ["boolean", "null"], "default": false},
    "idempotent": {"type": ["boolean", "null"], "default": false},
    "engine": {"anyOf": [{"$ref": "#/components/schemas/EngineName"}, {"type": "null"}], "description": "Of wasm and rust: what runs it; the server's engine if left out."},
    "fallback": {"anyOf": [{"$ref": "#/components/schemas/EngineName"}, {"type": "null"}], "description": "Runs it where the engine cannot be loaded."},
    "isolation": {"enum": ["process", null], "description": "process: its guests run in processes of their own."}
  }
},
"PutFunctionForm": {
  "type": "object",
  "required": ["content"],
  "additionalProperties": false,
  "properties": {
    "manifest": {"type": "object", "description": "As PutFunction, without content and encoding."},
    "content": {"type": "string", "contentMediaType": "application/octet-stream",
                "description": "A source text, a WebAssembly module or a .tar.gz, as it is."}
  }
}
})json";
}

}  // namespace seam::api

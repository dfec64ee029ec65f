// The calculator as a component of the world wasi:http/proxy, for `wasmtime serve`: calculator.c, as Seam's own subject runs it,
// behind the imports and the export that the component model's Canonical ABI makes of that world. A resource's handle is an
// i32; a result<T, E> is written to where the last argument points. `wasm-tools component new` checks each signature. A wrong
// request traps, which is answered by 500. WASI_VERSION is "@" and the version of the world's package.
#include "calculator.c"

#define WASI(interface, function) __attribute__((import_module("wasi:" interface WASI_VERSION), import_name(function)))

struct bytes {
  const void *data;
  uint32_t size;
};

struct header {
  struct bytes name, value;
};

// Room for every result that is used here: the largest holds an error-code of wasi:http.
struct result {
  _Alignas(8) uint8_t failed;
  uint32_t payload[9];  // from the fourth byte on: a handle, or a list's address and length
};

WASI("http/types", "[method]incoming-request.consume") void request_consume(int32_t request, struct result *body);
WASI("http/types", "[method]incoming-body.stream") void incoming_body_stream(int32_t body, struct result *stream);
WASI("http/types", "[static]fields.from-list") void fields_from_list(const struct header *, uint32_t count, struct result *fields);
WASI("http/types", "[constructor]outgoing-response") int32_t response_new(int32_t fields);
WASI("http/types", "[method]outgoing-response.body") void response_body(int32_t response, struct result *body);
WASI("http/types", "[method]outgoing-body.write") void outgoing_body_stream(int32_t body, struct result *stream);
WASI("http/types", "[static]outgoing-body.finish")
void outgoing_body_finish(int32_t body, int32_t has_trailers, int32_t trailers, struct result *);
// A result<outgoing-response, error-code>: whether it failed, and then the response or the error's seven values.
WASI("http/types", "[static]response-outparam.set")
void outparam_set(int32_t outparam, int32_t failed, int32_t response, int32_t, int64_t, int32_t, int32_t, int32_t, int32_t);
WASI("io/streams", "[method]input-stream.blocking-read") void stream_read(int32_t stream, uint64_t size_max, struct result *bytes);
WASI("io/streams", "[method]output-stream.check-write") void stream_check_write(int32_t stream, struct result *size_max);
WASI("io/streams", "[method]output-stream.write") void stream_write(int32_t stream, const void *, uint32_t size, struct result *);
WASI("io/streams", "[resource-drop]input-stream") void input_stream_drop(int32_t stream);
WASI("io/streams", "[resource-drop]output-stream") void output_stream_drop(int32_t stream);
WASI("http/types", "[resource-drop]incoming-body") void incoming_body_drop(int32_t body);
WASI("http/types", "[resource-drop]incoming-request") void request_drop(int32_t request);

// Where the host puts a list that it returns.
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t size) {
  (void)old_size, (void)align;  // malloc aligns for everything
  return realloc(old, size);
}

static struct bytes text(const char *string) { return (struct bytes){string, strlen(string)}; }

// What a result holds that must not have failed.
static int32_t good(const struct result *result) {
  if (result->failed) abort();
  return (int32_t)result->payload[0];
}

// The request's whole body, as handle() takes it: to be freed.
static struct bytes read_body(int32_t request) {
  struct result result;
  request_consume(request, &result);
  const int32_t body = good(&result);
  incoming_body_stream(body, &result);
  const int32_t stream = good(&result);
  char *data = NULL;
  uint32_t size = 0;
  for (;;) {
    stream_read(stream, 4096, &result);
    if (result.failed) {
      if ((uint8_t)result.payload[0] != 1) abort();  // 1 is `closed`, the end
      break;
    }
    char *part = (char *)result.payload[0];
    const uint32_t part_size = result.payload[1];
    if (!data) {
      data = part;
    } else {
      data = realloc(data, size + part_size);
      memcpy(data + size, part, part_size);
      free(part);
    }
    size += part_size;
  }
  input_stream_drop(stream);
  incoming_body_drop(body);
  request_drop(request);
  return (struct bytes){data, size};
}

__attribute__((export_name("wasi:http/incoming-handler" WASI_VERSION "#handle"))) void serve(int32_t request, int32_t outparam) {
  const struct bytes params = read_body(request);
  const uint64_t packed = handle((char *)params.data, params.size);
  const struct bytes answer = {(const void *)(uintptr_t)(packed >> 32), (uint32_t)packed};

  char length[16];
  snprintf(length, sizeof length, "%u", (unsigned)answer.size);
  const struct header headers[] = {{text("content-type"), text("application/json")}, {text("content-length"), text(length)}};
  struct result result;
  fields_from_list(headers, 2, &result);
  const int32_t response = response_new(good(&result));
  response_body(response, &result);
  const int32_t body = good(&result);
  outgoing_body_stream(body, &result);
  const int32_t stream = good(&result);
  // The body is complete before the response is given away, so that head and body leave together.
  stream_check_write(stream, &result);
  good(&result);
  stream_write(stream, answer.data, answer.size, &result);
  good(&result);
  output_stream_drop(stream);
  outgoing_body_finish(body, 0, 0, &result);
  good(&result);
  outparam_set(outparam, 0, response, 0, 0, 0, 0, 0, 0);
}

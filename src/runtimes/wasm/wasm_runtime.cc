#include "runtimes/wasm/wasm_runtime.h"

/* wasmi's Rust API as src/wasm/wasmi needs it. Written for that adapter; nothing else includes it.
 *
 * One engine for each module: an engine of wasmi keeps the code of every module that it ever compiled. A store is one
 * instance, or several that are linked; one thread at a time uses it. Handles (seam_wasmi_instance …) are numbers that
 * are good for the store they came from, as long as it lives. Functions that give a seam_wasmi_status fill `error` when
 * it is SEAM_WASMI_FAILED, and only then; whoever gets an error frees it.
 */
#ifndef SEAM_WASMI_H
#define SEAM_WASMI_H

#include <stddef.h>
#include <stdint.h>

#define SEAM_WASMI_ABI 1

typedef struct seam_wasmi_module seam_wasmi_module; /* with its engine; any thread */
typedef struct seam_wasmi_linker seam_wasmi_linker; /* host functions for one module; any thread once filled */
typedef struct seam_wasmi_store seam_wasmi_store;
typedef struct seam_wasmi_run seam_wasmi_run; /* a call that runs in parts */
typedef struct seam_wasmi_caller seam_wasmi_caller; /* borrowed for a host call */

typedef uint64_t seam_wasmi_instance;
typedef uint64_t seam_wasmi_func;
typedef uint64_t seam_wasmi_memory;

/* A value as src/wasm/value.h says. */
typedef struct {
  uint64_t low;
  uint64_t high;
} seam_wasmi_value;

enum { /* of values, as in src/wasm/value.h */
  SEAM_WASMI_I32,
  SEAM_WASMI_I64,
  SEAM_WASMI_F32,
  SEAM_WASMI_F64,
  SEAM_WASMI_V128,
  SEAM_WASMI_FUNCREF,
  SEAM_WASMI_EXTERNREF
};

enum { /* of imports and exports, as in src/wasm/value.h */
  SEAM_WASMI_FUNCTION,
  SEAM_WASMI_GLOBAL,
  SEAM_WASMI_TABLE,
  SEAM_WASMI_MEMORY
};

typedef enum {
  SEAM_WASMI_DONE,
  SEAM_WASMI_STOPPED,  /* a callback said so, and knows why */
  SEAM_WASMI_FAILED,   /* see the error */
  SEAM_WASMI_NO_FUEL,  /* of a run: give it more and go on */
  SEAM_WASMI_WAITING   /* of a run: a host function said so */
} seam_wasmi_status;

typedef enum {
  SEAM_WASMI_ERROR_TRAP,    /* `trap` says which */
  SEAM_WASMI_ERROR_LIMIT,   /* a memory or table begins over its limit */
  SEAM_WASMI_ERROR_LINK,    /* an import that is missing or of another type */
  SEAM_WASMI_ERROR_MODULE,  /* no module, or one that wasmi does not take */
  SEAM_WASMI_ERROR_OTHER
} seam_wasmi_error_kind;

typedef enum {
  SEAM_WASMI_TRAP_OTHER,
  SEAM_WASMI_TRAP_UNREACHABLE,
  SEAM_WASMI_TRAP_MEMORY_OUT_OF_BOUNDS,
  SEAM_WASMI_TRAP_TABLE_OUT_OF_BOUNDS,
  SEAM_WASMI_TRAP_INDIRECT_CALL_TO_NULL,
  SEAM_WASMI_TRAP_DIVISION_BY_ZERO,
  SEAM_WASMI_TRAP_INTEGER_OVERFLOW,
  SEAM_WASMI_TRAP_BAD_CONVERSION,
  SEAM_WASMI_TRAP_STACK_OVERFLOW,
  SEAM_WASMI_TRAP_BAD_SIGNATURE,
  SEAM_WASMI_TRAP_OUT_OF_MEMORY
} seam_wasmi_trap;

typedef struct {
  seam_wasmi_error_kind kind;
  seam_wasmi_trap trap;
  char* text; /* not terminated; with its size */
  size_t size;
} seam_wasmi_error;

/* One import or export; borrowed for the visit. */
typedef struct {
  const char* module;
  size_t module_size;
  const char* name;
  size_t name_size;
  uint32_t kind;
  const uint8_t* params; /* of a function */
  size_t params_count;
  const uint8_t* results;
  size_t results_count;
  uint64_t memory_pages_min; /* of a memory */
} seam_wasmi_extern;

typedef void (*seam_wasmi_visit)(void* data, const seam_wasmi_extern* item);

/* A host function was called. `slots` holds the params and takes the result. Gives SEAM_WASMI_DONE, STOPPED, or, within a
 * run, WAITING with the result in place: the run goes on with it when it is resumed. */
typedef seam_wasmi_status (*seam_wasmi_callback)(const void* function, void* context, seam_wasmi_caller* caller,
                                                 seam_wasmi_value* slots);

/* A call has used up its fuel but for `left`, and needs `needed` to go on: how much to give it, less than `needed` to stop. */
typedef uint64_t (*seam_wasmi_refill)(void* context, uint64_t needed, uint64_t left);

/* What a host is to a store; the pointers are given back in the callbacks. */
typedef struct {
  void* context;
  seam_wasmi_refill refill;
  uint64_t memory_bytes_max;
  uint64_t table_elements_max;
} seam_wasmi_host;

/* Calls a function; see seam_wasmi_find_function(). */
typedef seam_wasmi_status (*seam_wasmi_enter)(seam_wasmi_store* store, seam_wasmi_func function, uint64_t narrow,
                                              seam_wasmi_value* slots, seam_wasmi_error* error);

typedef struct {
  seam_wasmi_func function;
  seam_wasmi_enter enter; /* enter(store, function, narrow, slots, &error) */
  uint64_t narrow;        /* bit i: param i is of 32 bits; bit 32 + i: result i */
} seam_wasmi_entry;

typedef struct {
  uint8_t* data;
  size_t size;
} seam_wasmi_bytes;

typedef struct {
  uint32_t abi;        /* SEAM_WASMI_ABI of the library */
  uint32_t size;       /* of this structure */
  const char* version; /* of wasmi: "2.0.0" */

  void (*error_free)(seam_wasmi_error* error);

  seam_wasmi_status (*module_new)(const uint8_t* bytes, size_t size, seam_wasmi_module** module,
                                          seam_wasmi_error* error);
  void (*module_delete)(seam_wasmi_module* module);
  void (*module_imports)(const seam_wasmi_module* module, seam_wasmi_visit visit, void* data);
  void (*module_exports)(const seam_wasmi_module* module, seam_wasmi_visit visit, void* data);

  /* Keeps the module, as does each store. */
  seam_wasmi_linker* (*linker_new)(const seam_wasmi_module* module);
  void (*linker_delete)(seam_wasmi_linker* linker);
  /* `function` is the callback's first argument. Of two under one name the later one counts. */
  void (*linker_define)(seam_wasmi_linker* linker, const seam_wasmi_extern* type, const void* function,
                                seam_wasmi_callback callback);

  seam_wasmi_store* (*store_new)(const seam_wasmi_module* module, const seam_wasmi_host* host);
  void (*store_delete)(seam_wasmi_store* store);
  uint64_t (*store_fuel)(const seam_wasmi_store* store);
  void (*store_set_fuel)(seam_wasmi_store* store, uint64_t fuel);

  /* The same module for the engine of this store, so that an instance of it can live there: made once and then kept by that
   * engine. Another pointer to it is given if it is there already. */
  seam_wasmi_status (*module_for)(const seam_wasmi_store* store, const seam_wasmi_module* module,
                                          seam_wasmi_module** same, seam_wasmi_error* error);
  /* Offers an export of an instance in this store as an import; 0 if it has none of that name. */
  int (*linker_define_export)(seam_wasmi_linker* linker, seam_wasmi_store* store, seam_wasmi_instance instance,
                                      const char* export_name, size_t export_name_size, const char* module,
                                      size_t module_size, const char* name, size_t name_size);

  /* An instance of the linker's module, its start function not yet called: that is `start`, or 0. */
  seam_wasmi_status (*instantiate)(seam_wasmi_store* store, const seam_wasmi_linker* linker,
                                           seam_wasmi_instance* instance, seam_wasmi_func* start, seam_wasmi_error* error);

  /* Exports; 0 if there is none of that name and kind. */
  int (*find_function)(seam_wasmi_store* store, seam_wasmi_instance instance, const char* name, size_t size,
                               seam_wasmi_entry* entry);
  int (*find_memory)(seam_wasmi_store* store, seam_wasmi_instance instance, const char* name, size_t size,
                             seam_wasmi_memory* memory);
  int (*find_global)(seam_wasmi_store* store, seam_wasmi_instance instance, const char* name, size_t size,
                             uint8_t* type, seam_wasmi_value* value);
  /* Good until a guest runs in that store. */
  seam_wasmi_bytes (*memory_bytes)(seam_wasmi_store* store, seam_wasmi_memory memory);
  /* What the calling instance exports as "memory", or nothing; good for the host call. */
  seam_wasmi_bytes (*caller_memory)(seam_wasmi_caller* caller);

  /* A call that can be left and gone on with. `params` is copied. */
  seam_wasmi_run* (*run_new)(seam_wasmi_store* store, seam_wasmi_func function, const seam_wasmi_value* params);
  /* Goes on until it is done, stopped, failed, waits or is out of fuel, and then says how much it needs. */
  seam_wasmi_status (*run_resume)(seam_wasmi_store* store, seam_wasmi_run* run, uint64_t* needed,
                                          seam_wasmi_error* error);
  /* Once it is done. */
  void (*run_results)(seam_wasmi_store* store, const seam_wasmi_run* run, seam_wasmi_value* results);
  void (*run_delete)(seam_wasmi_run* run);
} seam_wasmi_api;

/* The one name that the library exports. Static. */
typedef const seam_wasmi_api* seam_wasmi_get(void);
extern seam_wasmi_get seam_wasmi;

#endif

//! wasmi behind the C interface of `seam_wasmi.h`, which says what each function here does.

mod call;
mod error;
mod host;
mod segments;
mod start;
mod store;
mod value;

use std::ffi::{c_char, c_void};
use std::mem::size_of;
use std::ptr;
use std::slice;
use std::str;
use std::sync::Once;

use wasmi::{Caller, Extern, ExternType, FuncType};

use crate::call::{Entry, Run, func_bits, func_of};
use crate::error::{ErrorOut, Status, guard, guard_or};
use crate::host::{Callback, HostFunction, define};
use crate::store::{
    Data, GuestLinker, GuestModule, GuestStore, Host, instance_bits, instance_of, memory_bits, memory_of,
};
use crate::value::{Value, code_of, from_val, type_of};

const ABI: u32 = 1;

#[repr(C)]
pub struct ExternOut {
    module: *const c_char,
    module_size: usize,
    name: *const c_char,
    name_size: usize,
    kind: u32,
    params: *const u8,
    params_count: usize,
    results: *const u8,
    results_count: usize,
    memory_pages_min: u64,
}

#[repr(C)]
pub struct Bytes {
    data: *mut u8,
    size: usize,
}

type Visit = unsafe extern "C" fn(data: *mut c_void, item: *const ExternOut);

unsafe fn text<'a>(data: *const c_char, size: usize) -> &'a str {
    // The host gives names that it has from a module, or that a person wrote.
    unsafe { str::from_utf8(slice::from_raw_parts(data.cast::<u8>(), size)) }.unwrap_or("\u{fffd}")
}

unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if size == 0 { &[] } else { unsafe { slice::from_raw_parts(data, size) } }
}

fn visit_one(visit: Visit, data: *mut c_void, module: &str, name: &str, ty: &ExternType) {
    let codes = |types: &[wasmi::ValType]| types.iter().map(|ty| code_of(*ty)).collect::<Vec<u8>>();
    let (mut params, mut results, mut memory_pages_min) = (Vec::new(), Vec::new(), 0);
    let kind = match ty {
        ExternType::Func(ty) => {
            (params, results) = (codes(ty.params()), codes(ty.results()));
            0
        }
        ExternType::Global(_) => 1,
        ExternType::Table(_) => 2,
        ExternType::Memory(ty) => {
            memory_pages_min = ty.minimum();
            3
        }
    };
    let item = ExternOut {
        module: module.as_ptr().cast(),
        module_size: module.len(),
        name: name.as_ptr().cast(),
        name_size: name.len(),
        kind,
        params: params.as_ptr(),
        params_count: params.len(),
        results: results.as_ptr(),
        results_count: results.len(),
        memory_pages_min,
    };
    unsafe { visit(data, &item) };
}

unsafe extern "C" fn error_free(error: *mut ErrorOut) {
    unsafe { (*error).free() };
}

unsafe extern "C" fn module_new(
    data: *const u8,
    size: usize,
    module: *mut *mut GuestModule,
    error: *mut ErrorOut,
) -> Status {
    // What a panic says goes into its error; it is not the library's to print.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| ())));
    unsafe {
        guard(error, || {
            module.write(Box::into_raw(Box::new(GuestModule::new(bytes(data, size))?)));
            Ok(Status::Done)
        })
    }
}

unsafe extern "C" fn module_delete(module: *mut GuestModule) {
    guard_or((), || drop(unsafe { Box::from_raw(module) }));
}

unsafe extern "C" fn module_imports(module: *const GuestModule, visit: Visit, data: *mut c_void) {
    guard_or((), || {
        for import in unsafe { &*module }.imports() {
            visit_one(visit, data, import.module(), import.name(), import.ty());
        }
    });
}

unsafe extern "C" fn module_exports(module: *const GuestModule, visit: Visit, data: *mut c_void) {
    guard_or((), || {
        for export in unsafe { &*module }.exports() {
            visit_one(visit, data, "", export.name(), export.ty());
        }
    });
}

unsafe extern "C" fn module_for(
    store: *const GuestStore,
    module: *const GuestModule,
    same: *mut *mut GuestModule,
    error: *mut ErrorOut,
) -> Status {
    unsafe {
        guard(error, || {
            same.write(Box::into_raw(Box::new((*module).for_store(&*store)?)));
            Ok(Status::Done)
        })
    }
}

unsafe extern "C" fn linker_new(module: *const GuestModule) -> *mut GuestLinker {
    Box::into_raw(Box::new(GuestLinker::new(unsafe { &*module })))
}

unsafe extern "C" fn linker_delete(linker: *mut GuestLinker) {
    guard_or((), || drop(unsafe { Box::from_raw(linker) }));
}

unsafe extern "C" fn linker_define(
    linker: *mut GuestLinker,
    ty: *const ExternOut,
    function: *const c_void,
    callback: Callback,
) {
    guard_or((), || unsafe {
        let ty = &*ty;
        let types = |data, count| bytes(data, count).iter().map(|code| type_of(*code)).collect::<Vec<_>>();
        let signature = FuncType::new(types(ty.params, ty.params_count), types(ty.results, ty.results_count));
        let (module, name) = (text(ty.module, ty.module_size), text(ty.name, ty.name_size));
        define(&mut (*linker).linker, module, name, signature, HostFunction { function, callback });
    });
}

unsafe extern "C" fn linker_define_export(
    linker: *mut GuestLinker,
    store: *mut GuestStore,
    instance: u64,
    export_name: *const c_char,
    export_name_size: usize,
    module: *const c_char,
    module_size: usize,
    name: *const c_char,
    name_size: usize,
) -> i32 {
    guard_or(0, || unsafe {
        let Some(export) = (*store).export(instance_of(instance), text(export_name, export_name_size)) else {
            return 0;
        };
        i32::from((*linker).linker.define(text(module, module_size), text(name, name_size), export).is_ok())
    })
}

unsafe extern "C" fn store_new(module: *const GuestModule, host: *const Host) -> *mut GuestStore {
    Box::into_raw(Box::new(GuestStore::new(unsafe { &*module }, unsafe { *host })))
}

unsafe extern "C" fn store_delete(store: *mut GuestStore) {
    guard_or((), || drop(unsafe { Box::from_raw(store) }));
}

unsafe extern "C" fn store_fuel(store: *const GuestStore) -> u64 {
    unsafe { &*store }.fuel()
}

unsafe extern "C" fn store_set_fuel(store: *mut GuestStore, fuel: u64) {
    unsafe { &mut *store }.set_fuel(fuel);
}

unsafe extern "C" fn instantiate(
    store: *mut GuestStore,
    linker: *const GuestLinker,
    instance: *mut u64,
    start: *mut u64,
    error: *mut ErrorOut,
) -> Status {
    unsafe {
        guard(error, || {
            let (made, started_by) = (*store).instantiate(&*linker)?;
            instance.write(instance_bits(made));
            start.write(started_by.map_or(0, func_bits));
            Ok(Status::Done)
        })
    }
}

unsafe fn find(store: *mut GuestStore, instance: u64, name: *const c_char, size: usize) -> Option<Extern> {
    unsafe { (*store).export(instance_of(instance), text(name, size)) }
}

unsafe extern "C" fn find_function(
    store: *mut GuestStore,
    instance: u64,
    name: *const c_char,
    size: usize,
    entry: *mut Entry,
) -> i32 {
    guard_or(0, || unsafe {
        let Some(Extern::Func(func)) = find(store, instance, name, size) else { return 0 };
        entry.write(Entry::new(&(*store).store, func));
        1
    })
}

unsafe extern "C" fn find_memory(
    store: *mut GuestStore,
    instance: u64,
    name: *const c_char,
    size: usize,
    memory: *mut u64,
) -> i32 {
    guard_or(0, || unsafe {
        let Some(Extern::Memory(found)) = find(store, instance, name, size) else { return 0 };
        memory.write(memory_bits(found));
        1
    })
}

unsafe extern "C" fn find_global(
    store: *mut GuestStore,
    instance: u64,
    name: *const c_char,
    size: usize,
    ty: *mut u8,
    value: *mut Value,
) -> i32 {
    guard_or(0, || unsafe {
        let Some(Extern::Global(global)) = find(store, instance, name, size) else { return 0 };
        let store = &(*store).store;
        ty.write(code_of(global.ty(store).content()));
        value.write(from_val(store, &global.get(store)));
        1
    })
}

unsafe extern "C" fn memory_bytes(store: *mut GuestStore, memory: u64) -> Bytes {
    guard_or(Bytes { data: ptr::null_mut(), size: 0 }, || unsafe {
        let (store, memory) = (&(*store).store, memory_of(memory));
        Bytes { data: memory.data_ptr(store), size: memory.data_size(store) }
    })
}

unsafe extern "C" fn caller_memory(caller: *mut Caller<'_, Data>) -> Bytes {
    guard_or(Bytes { data: ptr::null_mut(), size: 0 }, || unsafe {
        let caller = &mut *caller;
        let memory = match caller.data().memory {
            Some(memory) if caller.data().instances == 1 => memory,
            _ => {
                let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
                    return Bytes { data: ptr::null_mut(), size: 0 };
                };
                caller.data_mut().memory = Some(memory);
                memory
            }
        };
        Bytes { data: memory.data_ptr(&*caller), size: memory.data_size(&*caller) }
    })
}

unsafe extern "C" fn run_new(store: *mut GuestStore, func: u64, params: *const Value) -> *mut Run {
    guard_or(ptr::null_mut(), || unsafe {
        Box::into_raw(Box::new(Run::new(&mut (*store).store, func_of(func), params)))
    })
}

unsafe extern "C" fn run_resume(
    store: *mut GuestStore,
    run: *mut Run,
    needed: *mut u64,
    error: *mut ErrorOut,
) -> Status {
    unsafe {
        guard(error, || {
            let (status, fuel) = (*run).resume(&mut (*store).store)?;
            needed.write(fuel);
            Ok(status)
        })
    }
}

unsafe extern "C" fn run_results(store: *mut GuestStore, run: *const Run, results: *mut Value) {
    guard_or((), || unsafe { (*run).results(&(*store).store, results) });
}

unsafe extern "C" fn run_delete(run: *mut Run) {
    guard_or((), || drop(unsafe { Box::from_raw(run) }));
}

/// The same, in the same order, as `seam_wasmi_api`.
#[repr(C)]
pub struct Api {
    abi: u32,
    size: u32,
    version: *const c_char,
    error_free: unsafe extern "C" fn(error: *mut ErrorOut),
    module_new: unsafe extern "C" fn(
        data: *const u8,
        size: usize,
        module: *mut *mut GuestModule,
        error: *mut ErrorOut,
    ) -> Status,
    module_delete: unsafe extern "C" fn(module: *mut GuestModule),
    module_imports: unsafe extern "C" fn(module: *const GuestModule, visit: Visit, data: *mut c_void),
    module_exports: unsafe extern "C" fn(module: *const GuestModule, visit: Visit, data: *mut c_void),
    linker_new: unsafe extern "C" fn(module: *const GuestModule) -> *mut GuestLinker,
    linker_delete: unsafe extern "C" fn(linker: *mut GuestLinker),
    linker_define: unsafe extern "C" fn(
        linker: *mut GuestLinker,
        ty: *const ExternOut,
        function: *const c_void,
        callback: Callback,
    ),
    store_new: unsafe extern "C" fn(module: *const GuestModule, host: *const Host) -> *mut GuestStore,
    store_delete: unsafe extern "C" fn(store: *mut GuestStore),
    store_fuel: unsafe extern "C" fn(store: *const GuestStore) -> u64,
    store_set_fuel: unsafe extern "C" fn(store: *mut GuestStore, fuel: u64),
    module_for: unsafe extern "C" fn(
        store: *const GuestStore,
        module: *const GuestModule,
        same: *mut *mut GuestModule,
        error: *mut ErrorOut,
    ) -> Status,
    linker_define_export: unsafe extern "C" fn(
        linker: *mut GuestLinker,
        store: *mut GuestStore,
        instance: u64,
        export_name: *const c_char,
        export_name_size: usize,
        module: *const c_char,
        module_size: usize,
        name: *const c_char,
        name_size: usize,
    ) -> i32,
    instantiate: unsafe extern "C" fn(
        store: *mut GuestStore,
        linker: *const GuestLinker,
        instance: *mut u64,
        start: *mut u64,
        error: *mut ErrorOut,
    ) -> Status,
    find_function: unsafe extern "C" fn(
        store: *mut GuestStore,
        instance: u64,
        name: *const c_char,
        size: usize,
        entry: *mut Entry,
    ) -> i32,
    find_memory: unsafe extern "C" fn(
        store: *mut GuestStore,
        instance: u64,
        name: *const c_char,
        size: usize,
        memory: *mut u64,
    ) -> i32,
    find_global: unsafe extern "C" fn(
        store: *mut GuestStore,
        instance: u64,
        name: *const c_char,
        size: usize,
        ty: *mut u8,
        value: *mut Value,
    ) -> i32,
    memory_bytes: unsafe extern "C" fn(store: *mut GuestStore, memory: u64) -> Bytes,
    caller_memory: unsafe extern "C" fn(caller: *mut Caller<'_, Data>) -> Bytes,
    run_new: unsafe extern "C" fn(store: *mut GuestStore, func: u64, params: *const Value) -> *mut Run,
    run_resume:
        unsafe extern "C" fn(store: *mut GuestStore, run: *mut Run, needed: *mut u64, error: *mut ErrorOut) -> Status,
    run_results: unsafe extern "C" fn(store: *mut GuestStore, run: *const Run, results: *mut Value),
    run_delete: unsafe extern "C" fn(run: *mut Run),
}

// Its one pointer is to static text.
unsafe impl Sync for Api {}

static API: Api = Api {
    abi: ABI,
    size: size_of::<Api>() as u32,
    version: c"2.0.0".as_ptr(),
    error_free,
    module_new,
    module_delete,
    module_imports,
    module_exports,
    linker_new,
    linker_delete,
    linker_define,
    store_new,
    store_delete,
    store_fuel,
    store_set_fuel,
    module_for,
    linker_define_export,
    instantiate,
    find_function,
    find_memory,
    find_global,
    memory_bytes,
    caller_memory,
    run_new,
    run_resume,
    run_results,
    run_delete,
};

#[unsafe(no_mangle)]
pub extern "C" fn seam_wasmi() -> *const Api {
    &API
}

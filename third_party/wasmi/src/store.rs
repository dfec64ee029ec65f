//! Modules, stores and instances.

use std::ffi::c_void;
use std::mem::{size_of, transmute};
use std::sync::{Arc, Mutex, Weak};

use wasmi::{
    CompilationMode, Config, CustomFuelCosts, Engine, Error, Extern, ExternType, Func, Instance, Linker, Memory,
    Module, ResourceLimiter, Store, StoreContextMut,
};
use wasmi_core::LimiterError;

use crate::error::{Failure, Kind};
use crate::segments::cut_at_misfit;
use crate::start::export_start;
use crate::value::Value;

const _: () = assert!(size_of::<Instance>() == size_of::<u64>() && size_of::<Memory>() == size_of::<u64>());

// A native stack of wasmtime's holds some ten thousand small frames too.
const FRAMES_MAX: usize = 16_384;
const STACK_BYTES_MAX: usize = 4 << 20;
// That an engine keeps for the next calls: more threads in one module at a time allocate theirs anew.
const STACKS_KEPT: usize = 4;
const BYTES_COPIED_PER_FUEL: u32 = 64;

/// # Safety
/// `bits` are those of `instance_bits()`.
pub unsafe fn instance_of(bits: u64) -> Instance {
    unsafe { transmute::<u64, Instance>(bits) }
}

pub fn instance_bits(instance: Instance) -> u64 {
    unsafe { transmute::<Instance, u64>(instance) }
}

/// # Safety
/// `bits` are those of `memory_bits()`.
pub unsafe fn memory_of(bits: u64) -> Memory {
    unsafe { transmute::<u64, Memory>(bits) }
}

pub fn memory_bits(memory: Memory) -> u64 {
    unsafe { transmute::<Memory, u64>(memory) }
}

fn new_engine() -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        // A function costs the same whether it was called before or not, by this instance or another.
        .fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: BYTES_COPIED_PER_FUEL,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        })
        .compilation_mode(CompilationMode::LazyTranslation)
        .ignore_custom_sections(true)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .set_max_recursion_depth(FRAMES_MAX)
        .set_max_stack_height(STACK_BYTES_MAX)
        .set_max_cached_stacks(STACKS_KEPT);
    Engine::new(&config)
}

/// The bytes that a module was made from.
struct Source {
    wasm: Box<[u8]>,
}

/// An engine and what was compiled by it beside its first module.
struct Shared {
    engine: Engine,
    linked: Mutex<Vec<(Weak<Source>, Arc<Compiled>)>>,
}

/// A module in an engine.
pub struct Compiled {
    module: Module,
    start: Option<String>, // the export that the start function became
    shares_table: bool,    // one of another instance, if it has any segments
}

impl Compiled {
    fn new(engine: &Engine, wasm: &[u8]) -> Result<Self, Error> {
        let Some(exported) = export_start(wasm) else {
            return Ok(Self::of(Module::new(engine, wasm)?, None));
        };
        let module = Module::new(engine, &exported.bytes)?;
        match module.get_export(&exported.name) {
            Some(ExternType::Func(ty)) if ty.params().is_empty() && ty.results().is_empty() => {
                Ok(Self::of(module, Some(exported.name)))
            }
            // A start function of another type: wasmi says what is wrong with it.
            _ => Ok(Self::of(Module::new(engine, wasm)?, None)),
        }
    }

    fn of(module: Module, start: Option<String>) -> Self {
        let shares_table = module.imports().any(|import| matches!(import.ty(), ExternType::Table(_)));
        Self { module, start, shares_table }
    }
}

#[derive(Clone)]
pub struct GuestModule {
    shared: Arc<Shared>,
    source: Arc<Source>,
    compiled: Arc<Compiled>,
}

impl GuestModule {
    pub fn new(wasm: &[u8]) -> Result<Self, Failure> {
        let engine = new_engine();
        let compiled =
            Arc::new(Compiled::new(&engine, wasm).map_err(|error| Failure::Text(Kind::Module, error.to_string()))?);
        let shared = Arc::new(Shared { engine, linked: Mutex::default() });
        Ok(Self { shared, source: Arc::new(Source { wasm: wasm.into() }), compiled })
    }

    /// The same module for the engine of `store`.
    pub fn for_store(&self, store: &GuestStore) -> Result<Self, Failure> {
        let shared = &store.shared;
        if Arc::ptr_eq(shared, &self.shared) {
            return Ok(self.clone());
        }
        let mut linked = shared.linked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let here = linked.iter().find(|(source, _)| Weak::as_ptr(source) == Arc::as_ptr(&self.source));
        let compiled = match here {
            Some((_, compiled)) => compiled.clone(),
            None => {
                let compiled = Arc::new(Compiled::new(&shared.engine, &self.source.wasm)?);
                linked.push((Arc::downgrade(&self.source), compiled.clone()));
                compiled
            }
        };
        Ok(Self { shared: shared.clone(), source: self.source.clone(), compiled })
    }

    pub fn imports(&self) -> impl Iterator<Item = wasmi::ImportType<'_>> {
        self.compiled.module.imports()
    }

    pub fn exports(&self) -> impl Iterator<Item = wasmi::ExportType<'_>> {
        let start = self.compiled.start.as_deref();
        self.compiled.module.exports().filter(move |export| Some(export.name()) != start)
    }
}

pub struct GuestLinker {
    pub module: GuestModule,
    pub linker: Linker<Data>,
}

impl GuestLinker {
    pub fn new(module: &GuestModule) -> Self {
        let mut linker = Linker::new(&module.shared.engine);
        linker.allow_shadowing(true);
        Self { module: module.clone(), linker }
    }
}

#[derive(Clone, Copy)]
#[repr(C)]
pub struct Host {
    pub context: *mut c_void,
    refill: unsafe extern "C" fn(context: *mut c_void, needed: u64, left: u64) -> u64,
    memory_bytes_max: u64,
    table_elements_max: u64,
}

// The host keeps a store to one thread at a time.
unsafe impl Send for Host {}
unsafe impl Sync for Host {}

struct Limits {
    memory_bytes_max: u64,
    table_elements_max: u64,
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, LimiterError> {
        Ok(desired as u64 <= self.memory_bytes_max)
    }
    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, LimiterError> {
        Ok(desired as u64 <= self.table_elements_max)
    }
    fn instances(&self) -> usize {
        10_000
    }
    fn tables(&self) -> usize {
        10_000
    }
    fn memories(&self) -> usize {
        10_000
    }
}

/// What a store holds for its host functions.
pub struct Data {
    pub host: Host,
    limits: Limits,
    pub instances: u32,
    pub memory: Option<Memory>, // the one that the only instance exports as "memory", once it was asked for
    pub waited: Value,          // what a host function that waits will have given
}

/// Asks the host for more fuel; whether there is enough to go on.
#[cold]
pub fn refill(store: &mut StoreContextMut<'_, Data>, needed: u64) -> bool {
    let host = store.data().host;
    let fuel = unsafe { (host.refill)(host.context, needed, store.get_fuel().unwrap_or(0)) };
    fuel >= needed && store.set_fuel(fuel).is_ok()
}

pub struct GuestStore {
    pub store: Store<Data>,
    shared: Arc<Shared>,
}

impl GuestStore {
    pub fn new(module: &GuestModule, host: Host) -> Self {
        let limits = Limits { memory_bytes_max: host.memory_bytes_max, table_elements_max: host.table_elements_max };
        let data = Data { host, limits, instances: 0, memory: None, waited: Value::default() };
        let mut store = Store::new(&module.shared.engine, data);
        store.limiter(|data| &mut data.limits);
        Self { store, shared: module.shared.clone() }
    }

    pub fn fuel(&self) -> u64 {
        self.store.get_fuel().unwrap_or(0)
    }

    pub fn set_fuel(&mut self, fuel: u64) {
        let _ = self.store.set_fuel(fuel); // every engine here counts fuel
    }

    pub fn instantiate(&mut self, linker: &GuestLinker) -> Result<(Instance, Option<Func>), Failure> {
        let compiled = &linker.module.compiled;
        self.store.data_mut().instances += 1;
        if compiled.shares_table {
            self.fail_whole(linker)?;
        }
        let instance = linker.linker.instantiate_and_start(&mut self.store, &compiled.module)?;
        let start = compiled.start.as_deref().and_then(|name| instance.get_func(&self.store, name));
        Ok((instance, start))
    }

    /// The trap of a module whose segments do not all fit, with all that it does until then done by a whole instance.
    fn fail_whole(&mut self, linker: &GuestLinker) -> Result<(), Failure> {
        let wasm = &linker.module.source.wasm;
        let given = |module: &str, name: &str| linker.linker.get(&self.store, module, name);
        match cut_at_misfit(wasm, &self.store, given) {
            Ok(None) => Ok(()),
            Ok(Some(cut)) => {
                let before = Compiled::new(&linker.module.shared.engine, &cut.bytes)?;
                linker.linker.instantiate_and_start(&mut self.store, &before.module)?;
                Err(Failure::Wasmi(Error::from(cut.trap)))
            }
            Err(()) => Err(Failure::Text(Kind::Link, "it is not known where its segments go".to_owned())),
        }
    }

    pub fn export(&self, instance: Instance, name: &str) -> Option<Extern> {
        instance.get_export(&self.store, name)
    }
}

//! The work of `subjects.h`, as a host in Rust would write it on wasmi: fuel for interruption unless none is wanted, the
//! same limits, lazy translation. A failure ends the process with a panic's message.

use std::slice;
use std::time::{Duration, Instant};

use wasmi::{
    Caller, CompilationMode, Config, CustomFuelCosts, Engine, Func, Instance, Linker, Memory, Module, ResourceLimiter,
    Store, TypedFunc, Val,
};
use wasmi_core::LimiterError;

const FUEL: u64 = 1_000_000;
const COPY_BYTES: usize = 64 << 10;
const PAGE_BYTES: usize = 4096;

struct Data {
    sum: u64,
}

struct Limits;

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, LimiterError> {
        Ok(desired <= 256 << 20)
    }
    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, LimiterError> {
        Ok(desired <= 20_000)
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

struct State {
    data: Data,
    limits: Limits,
}

struct Live {
    store: Store<State>,
    instance: Instance,
}

pub struct Subject {
    engine: Engine,
    larger: Vec<u8>,
    module: Module,
    linker: Linker<State>,
    live: Live,
    add: TypedFunc<(i32, i32), i32>,
    untyped: Func,
    once: TypedFunc<i32, i32>,
    memory: Memory,
    kept: Vec<Live>,
}

fn new_engine(interruptible: bool) -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(interruptible)
        .fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: 64,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        })
        .compilation_mode(CompilationMode::LazyTranslation)
        .ignore_custom_sections(true)
        .wasm_multi_memory(false);
    Engine::new(&config)
}

fn instantiate(engine: &Engine, module: &Module, linker: &Linker<State>) -> Live {
    let mut store = Store::new(engine, State { data: Data { sum: 0 }, limits: Limits });
    store.limiter(|state| &mut state.limits);
    let _ = store.set_fuel(FUEL); // an engine without interruption has none
    let instance = linker.instantiate_and_start(&mut store, module).expect("instance");
    Live { store, instance }
}

fn touch(live: &mut Live, value: i32) -> u64 {
    let touch = live.instance.get_typed_func::<i32, i32>(&live.store, "touch").expect("touch");
    live.store.set_fuel(FUEL).expect("fuel");
    u64::from(touch.call(&mut live.store, value).expect("touch") as u32)
}

impl Subject {
    fn new(engine: Engine, small: &[u8], larger: &[u8]) -> Self {
        let module = Module::new(&engine, small).expect("module");
        let mut linker = Linker::new(&engine);
        linker
            .func_wrap("env", "count", |mut caller: Caller<'_, State>, value: i32| -> i32 {
                let data = &mut caller.data_mut().data;
                data.sum += u64::from(value as u32);
                data.sum as i32
            })
            .expect("host function");
        let live = instantiate(&engine, &module, &linker);
        let (store, instance) = (&live.store, &live.instance);
        Self {
            add: instance.get_typed_func(store, "add").expect("add"),
            untyped: instance.get_func(store, "add").expect("add"),
            once: instance.get_typed_func(store, "once").expect("once"),
            memory: instance.get_memory(store, "memory").expect("memory"),
            engine,
            larger: larger.to_vec(),
            module,
            linker,
            live,
            kept: Vec::new(),
        }
    }

    fn run(&mut self, operation: u32, times: u64) -> u64 {
        let store = &mut self.live.store;
        let mut sum = 0u64;
        match operation {
            0 => {
                for i in 0..times {
                    store.set_fuel(FUEL).expect("fuel");
                    sum += u64::from(self.add.call(&mut *store, (i as i32, 1)).expect("add") as u32);
                }
            }
            1 => {
                let deadline = Instant::now() + Duration::from_secs(3600);
                for i in 0..times {
                    assert!(Instant::now() < deadline);
                    store.set_fuel(FUEL).expect("fuel");
                    sum += u64::from(self.add.call(&mut *store, (i as i32, 1)).expect("add") as u32);
                }
            }
            2 => {
                for i in 0..times {
                    store.set_fuel(FUEL).expect("fuel");
                    let mut result = [Val::I32(0)];
                    self.untyped.call(&mut *store, &[Val::I32(i as i32), Val::I32(1)], &mut result).expect("add");
                    let [Val::I32(value)] = result else { panic!("add gave another type") };
                    sum += u64::from(value as u32);
                }
            }
            3 => {
                store.data_mut().data.sum = 0;
                for i in 0..times {
                    store.set_fuel(FUEL).expect("fuel");
                    sum += u64::from(self.once.call(&mut *store, i as i32).expect("once") as u32);
                }
            }
            4 => {
                for i in 0..times {
                    let mut live = instantiate(&self.engine, &self.module, &self.linker);
                    sum += touch(&mut live, i as i32);
                }
            }
            5 => {
                for _ in 0..times {
                    sum += Module::new(&self.engine, &self.larger).expect("module").exports().count() as u64;
                }
            }
            7 => {
                // Where copied() of subjects.h stands in its page: the speed of a copy depends on that.
                let mut room = vec![0u8; COPY_BYTES + 2 * PAGE_BYTES];
                let at = room.as_ptr().align_offset(PAGE_BYTES) + PAGE_BYTES / 2;
                let bytes = &mut room[at..at + COPY_BYTES];
                for i in 0..times {
                    bytes[i as usize % COPY_BYTES] = i as u8;
                    self.memory.write(&mut *store, 0, bytes).expect("write");
                    self.memory.read(&*store, 0, bytes).expect("read");
                    sum += u64::from(bytes[i as usize % COPY_BYTES]);
                }
            }
            // Without fuel: the engine is one without interruption.
            8..=10 => {
                let name = ["loop", "tight", "calls"][operation as usize - 8];
                let hot = self.live.instance.get_typed_func::<(), i32>(&*store, name).expect("hot");
                for _ in 0..times {
                    sum += u64::from(hot.call(&mut *store, ()).expect("hot") as u32);
                }
            }
            _ => panic!("no such operation"),
        }
        sum
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn direct_start(interruptible: bool) -> *mut Engine {
    Box::into_raw(Box::new(new_engine(interruptible)))
}

/// # Safety
/// `engine` is what direct_start() gave; the modules are read here alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn direct_finish(
    engine: *mut Engine,
    small: *const u8,
    small_size: usize,
    larger: *const u8,
    larger_size: usize,
) -> *mut Subject {
    let engine = unsafe { *Box::from_raw(engine) };
    let (small, larger) =
        unsafe { (slice::from_raw_parts(small, small_size), slice::from_raw_parts(larger, larger_size)) };
    Box::into_raw(Box::new(Subject::new(engine, small, larger)))
}

/// # Safety
/// `subject` is what direct_finish() gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn direct_run(subject: *mut Subject, operation: u32, times: u64) -> u64 {
    unsafe { &mut *subject }.run(operation, times)
}

/// # Safety
/// As direct_run's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn direct_keep(subject: *mut Subject, count: u32) {
    let subject = unsafe { &mut *subject };
    for _ in 0..count {
        let mut live = instantiate(&subject.engine, &subject.module, &subject.linker);
        touch(&mut live, 1);
        subject.kept.push(live);
    }
}

/// # Safety
/// As direct_run's; it is gone afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn direct_end(subject: *mut Subject) {
    drop(unsafe { Box::from_raw(subject) });
}

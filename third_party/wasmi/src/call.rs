//! Calls from the host.
//!
//! wasmi's typed functions cost no more than wasmi itself, but their types must be known here, where only the guest knows
//! them. What a typed call does with its types is small: it writes each parameter into a cell of 64 bits, a number of 32
//! bits with zeros above it, and reads the results from such cells. So a function of n numbers is called as one of n u64,
//! whatever the numbers are, with the upper half of the narrow ones cleared. (i32, f64) -> i64 becomes (u64, u64) -> u64.
//! Vectors take two cells and references belong to a store: functions with those, or with many parameters, go the untyped
//! way, by `Val`.

use std::mem::{size_of, transmute};

use wasmi::{
    Error, Func, ResumableCall, ResumableCallHostTrap, ResumableCallOutOfFuel, Store, TypedFunc, Val, ValType,
    WasmParams, WasmResults,
};

use crate::error::{ErrorOut, Failure, Status, Stop, guard};
use crate::store::{Data, GuestStore, refill};
use crate::value::{Value, from_val, to_val};

const _: () = assert!(size_of::<Func>() == size_of::<u64>());

/// # Safety
/// `bits` are those of `func_bits()`, or of nothing else than a store of this library made.
pub unsafe fn func_of(bits: u64) -> Func {
    unsafe { transmute::<u64, Func>(bits) }
}

pub fn func_bits(func: Func) -> u64 {
    unsafe { transmute::<Func, u64>(func) }
}

pub type Enter = unsafe extern "C" fn(
    store: *mut GuestStore,
    func: u64,
    narrow: u64,
    slots: *mut Value,
    error: *mut ErrorOut,
) -> Status;

#[repr(C)]
pub struct Entry {
    func: u64,
    enter: Enter,
    narrow: u64,
}

/// What is left of a cell that holds a number of 32 bits, if bit `i` of `narrow` says so.
#[inline(always)]
pub fn trimmed(cell: u64, narrow: u64, i: u32) -> u64 {
    cell & (u64::MAX >> (((narrow >> i) & 1) * 32))
}

trait Params: WasmParams {
    unsafe fn read(slots: *const Value, narrow: u64) -> Self;
}

trait Results: WasmResults {
    unsafe fn write(self, slots: *mut Value, narrow: u64);
}

macro_rules! cells {
    ($($i:literal $name:ident),*) => {
        impl Params for ($(cells!(@u64 $name),)*) {
            #[inline(always)]
            #[allow(unused_variables, unused_unsafe)]
            unsafe fn read(slots: *const Value, narrow: u64) -> Self {
                unsafe { ($(trimmed((*slots.add($i)).low, narrow, $i),)*) }
            }
        }
    };
    (@u64 $name:ident) => { u64 };
}
cells!();
cells!(0 a);
cells!(0 a, 1 b);
cells!(0 a, 1 b, 2 c);
cells!(0 a, 1 b, 2 c, 3 d);
cells!(0 a, 1 b, 2 c, 3 d, 4 e);
cells!(0 a, 1 b, 2 c, 3 d, 4 e, 5 f);
cells!(0 a, 1 b, 2 c, 3 d, 4 e, 5 f, 6 g);
cells!(0 a, 1 b, 2 c, 3 d, 4 e, 5 f, 6 g, 7 h);

impl Results for () {
    #[inline(always)]
    unsafe fn write(self, _slots: *mut Value, _narrow: u64) {}
}

impl Results for u64 {
    #[inline(always)]
    unsafe fn write(self, slots: *mut Value, narrow: u64) {
        unsafe { slots.write(Value { low: trimmed(self, narrow, 32), high: 0 }) }
    }
}

impl Results for (u64, u64) {
    #[inline(always)]
    unsafe fn write(self, slots: *mut Value, narrow: u64) {
        unsafe {
            slots.write(Value { low: trimmed(self.0, narrow, 32), high: 0 });
            slots.add(1).write(Value { low: trimmed(self.1, narrow, 33), high: 0 });
        }
    }
}

unsafe extern "C" fn enter<P: Params, R: Results>(
    store: *mut GuestStore,
    func: u64,
    narrow: u64,
    slots: *mut Value,
    error: *mut ErrorOut,
) -> Status {
    unsafe {
        guard(error, || {
            let mut stopped = false;
            let called =
                typed::<P, R>(func).call_refilled(&mut (*store).store, P::read(slots, narrow), |mut store, needed| {
                    stopped = !refill(&mut store, needed);
                    !stopped
                });
            match called {
                Ok(results) => {
                    results.write(slots, narrow);
                    Ok(Status::Done)
                }
                Err(_) if stopped => Ok(Status::Stopped),
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// A typed function is its function and nothing else (repr(transparent)); see above for the types.
unsafe fn typed<P, R>(bits: u64) -> TypedFunc<P, R> {
    const { assert!(size_of::<TypedFunc<P, R>>() == size_of::<u64>()) };
    unsafe { std::mem::transmute_copy(&bits) }
}

/// By `Val`: any type.
unsafe extern "C" fn enter_untyped(
    store: *mut GuestStore,
    func: u64,
    _narrow: u64,
    slots: *mut Value,
    error: *mut ErrorOut,
) -> Status {
    unsafe {
        guard(error, || {
            let store = &mut *store;
            let mut run = Run::new(&mut store.store, func_of(func), slots);
            loop {
                match run.resume(&mut store.store)? {
                    (Status::NoFuel, needed) => {
                        if !refill(&mut (&mut store.store).into(), needed) {
                            return Ok(Status::Stopped);
                        }
                    }
                    (Status::Done, _) => {
                        run.results(&store.store, slots);
                        return Ok(Status::Done);
                    }
                    // Only a run is told to wait.
                    (status, _) => return Ok(status),
                }
            }
        })
    }
}

pub fn is_number(ty: ValType) -> bool {
    matches!(ty, ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64)
}

pub fn narrow_bits(types: &[ValType]) -> u64 {
    types.iter().enumerate().fold(0, |bits, (i, ty)| bits | (u64::from(matches!(ty, ValType::I32 | ValType::F32)) << i))
}

fn enter_for<P: Params>(results: usize) -> Option<Enter> {
    Some(match results {
        0 => enter::<P, ()>,
        1 => enter::<P, u64>,
        2 => enter::<P, (u64, u64)>,
        _ => return None,
    })
}

fn enter_of(params: usize, results: usize) -> Option<Enter> {
    type U = u64;
    match params {
        0 => enter_for::<()>(results),
        1 => enter_for::<(U,)>(results),
        2 => enter_for::<(U, U)>(results),
        3 => enter_for::<(U, U, U)>(results),
        4 => enter_for::<(U, U, U, U)>(results),
        5 => enter_for::<(U, U, U, U, U)>(results),
        6 => enter_for::<(U, U, U, U, U, U)>(results),
        7 => enter_for::<(U, U, U, U, U, U, U)>(results),
        8 => enter_for::<(U, U, U, U, U, U, U, U)>(results),
        _ => None,
    }
}

impl Entry {
    pub fn new<T>(store: &Store<T>, func: Func) -> Self {
        let ty = func.ty(store);
        let numbers = ty.params().iter().chain(ty.results()).copied().all(is_number);
        let entry = if numbers { enter_of(ty.params().len(), ty.results().len()) } else { None };
        match entry {
            Some(enter) => {
                let narrow = narrow_bits(ty.params()) | (narrow_bits(ty.results()) << 32);
                Self { func: func_bits(func), enter, narrow }
            }
            None => Self { func: func_bits(func), enter: enter_untyped, narrow: 0 },
        }
    }
}

enum State {
    Fresh,
    OutOfFuel(ResumableCallOutOfFuel),
    Waiting(ResumableCallHostTrap),
    Ended,
}

/// A call that can be left and gone on with.
pub struct Run {
    func: Func,
    params: Vec<Val>,
    outputs: Vec<Val>,
    state: State,
}

impl Run {
    /// # Safety
    /// `slots` holds the function's params.
    pub unsafe fn new(store: &mut Store<Data>, func: Func, slots: *const Value) -> Self {
        let ty = func.ty(&*store);
        let mut params = Vec::with_capacity(ty.params().len());
        for (i, param) in ty.params().iter().enumerate() {
            params.push(to_val(&mut *store, *param, unsafe { *slots.add(i) }));
        }
        let outputs = ty.results().iter().map(|ty| Val::default_for_ty(*ty)).collect();
        Self { func, params, outputs, state: State::Fresh }
    }

    /// How it stands, and the fuel that it needs to go on.
    pub fn resume(&mut self, store: &mut Store<Data>) -> Result<(Status, u64), Failure> {
        let outputs = &mut self.outputs[..];
        let call: Result<ResumableCall, Error> = match std::mem::replace(&mut self.state, State::Ended) {
            State::Fresh => self.func.call_resumable(&mut *store, &self.params, outputs),
            State::OutOfFuel(call) => call.resume(&mut *store, outputs),
            State::Waiting(call) => {
                let ty = call.host_func().ty(&*store);
                let given = store.data().waited;
                let inputs: Vec<Val> = ty.results().iter().map(|ty| to_val(&mut *store, *ty, given)).collect();
                call.resume(&mut *store, &inputs, outputs)
            }
            State::Ended => return Ok((Status::Done, 0)),
        };
        Ok(match call? {
            ResumableCall::Finished => (Status::Done, 0),
            ResumableCall::OutOfFuel(call) => {
                let needed = call.required_fuel();
                self.state = State::OutOfFuel(call);
                (Status::NoFuel, needed)
            }
            ResumableCall::HostTrap(call) => match call.host_error().downcast_ref::<Stop>() {
                Some(Stop { waits: true }) => {
                    self.state = State::Waiting(call);
                    (Status::Waiting, 0)
                }
                Some(Stop { waits: false }) => (Status::Stopped, 0),
                None => return Err(Failure::Wasmi(call.into_host_error())),
            },
        })
    }

    /// # Safety
    /// `slots` has room for the function's results.
    pub unsafe fn results(&self, store: &Store<Data>, slots: *mut Value) {
        for (i, val) in self.outputs.iter().enumerate() {
            unsafe { slots.add(i).write(from_val(store, val)) };
        }
    }
}

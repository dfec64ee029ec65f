//! Host functions.
//!
//! wasmi takes a host function as a Rust closure with the types of its signature, which are only known when a module is
//! linked, or as one over lists of `Val`, which copies such a list to the heap on each call. A function of numbers is
//! taken as a third kind, which wasmi.patch adds: one over the cells of the guest's stack, 64 bits for each number. What
//! has vectors, references or very many params goes the way of `Val`.

use std::ffi::c_void;

use wasmi::{Caller, Error, FuncType, Linker, Val};

use crate::call::{is_number, narrow_bits, trimmed};
use crate::error::{Status, Stop};
use crate::store::Data;
use crate::value::{Value, from_val, to_val};

pub type Callback = unsafe extern "C" fn(
    function: *const c_void,
    context: *mut c_void,
    caller: *mut Caller<'_, Data>,
    slots: *mut Value,
) -> Status;

#[derive(Clone, Copy)]
pub struct HostFunction {
    pub function: *const c_void,
    pub callback: Callback,
}

// The host lets any thread call it.
unsafe impl Send for HostFunction {}
unsafe impl Sync for HostFunction {}

#[cold]
fn end(caller: &mut Caller<'_, Data>, status: Status, given: Value) -> Error {
    let waits = status == Status::Waiting;
    if waits {
        caller.data_mut().waited = given;
    }
    Error::host(Stop { waits })
}

impl HostFunction {
    #[inline(always)]
    fn invoke(self, mut caller: Caller<'_, Data>, slots: &mut [Value]) -> Result<(), Error> {
        let context = caller.data().host.context;
        let status = unsafe { (self.callback)(self.function, context, &raw mut caller, slots.as_mut_ptr()) };
        match status {
            Status::Done => Ok(()),
            status => Err(end(&mut caller, status, slots[0])),
        }
    }

    fn invoke_untyped(
        self,
        mut caller: Caller<'_, Data>,
        ty: &FuncType,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<(), Error> {
        let mut slots = vec![Value::default(); params.len().max(results.len()).max(1)];
        for (slot, param) in slots.iter_mut().zip(params) {
            *slot = from_val(&caller, param);
        }
        let context = caller.data().host.context;
        let status = unsafe { (self.callback)(self.function, context, &raw mut caller, slots.as_mut_ptr()) };
        if status != Status::Done {
            return Err(end(&mut caller, status, slots[0]));
        }
        for (i, result) in results.iter_mut().enumerate() {
            *result = to_val(&mut caller, ty.results()[i], slots[i]);
        }
        Ok(())
    }

    /// The host function over the cells of at most `N` params and results, all of them numbers.
    fn of_cells<const N: usize>(
        self,
        ty: &FuncType,
    ) -> impl Fn(Caller<'_, Data>, &mut [u64]) -> Result<(), Error> + use<N> {
        let (params, results) = (ty.params().len(), ty.results().len());
        assert!(params <= N && results <= N && N <= 32);
        let narrow = narrow_bits(ty.params()) | (narrow_bits(ty.results()) << 32);
        move |caller, cells| {
            let mut slots = [Value::default(); N];
            for (i, (slot, cell)) in slots.iter_mut().zip(&cells[..params]).enumerate() {
                slot.low = trimmed(*cell, narrow, i as u32);
            }
            self.invoke(caller, &mut slots)?;
            for (i, (slot, cell)) in slots.iter().zip(&mut cells[..results]).enumerate() {
                *cell = trimmed(slot.low, narrow, 32 + i as u32);
            }
            Ok(())
        }
    }
}

/// Offers `host` under a name.
pub fn define(linker: &mut Linker<Data>, module: &str, name: &str, ty: FuncType, host: HostFunction) {
    let numbers = ty.params().iter().chain(ty.results()).copied().all(is_number);
    let slots = if numbers { ty.params().len().max(ty.results().len()) } else { usize::MAX };
    // Shadowing is allowed: none of these can fail.
    let _ = match slots {
        0..=4 => {
            let function = host.of_cells::<4>(&ty);
            linker.func_cells(module, name, ty, function)
        }
        5..=16 => {
            let function = host.of_cells::<16>(&ty);
            linker.func_cells(module, name, ty, function)
        }
        _ => {
            let types = ty.clone();
            let function = move |caller: Caller<'_, Data>, params: &[Val], results: &mut [Val]| {
                host.invoke_untyped(caller, &types, params, results)
            };
            linker.func_new(module, name, ty, function)
        }
    };
}

//! Host functions.
//!
//! wasmi takes a host function as a Rust closure with the types of its signature, or as one over lists of `Val`, which
//! copies such a list to the heap on each call. The host's signatures are only known when a module is linked, so a closure
//! is made here for each that is likely: all of up to three numbers, those of integers up to four, and those of WASI. The
//! rest goes the slow way.

use std::ffi::c_void;

use wasmi::{Caller, Error, F32, F64, FuncType, Linker, Val, ValType};

use crate::error::{Status, Stop};
use crate::store::Data;
use crate::value::{Slot, Value, from_val, to_val};

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
    fn invoke<const N: usize>(self, mut caller: Caller<'_, Data>, slots: &mut [Value; N]) -> Result<(), Error> {
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
}

struct Definition<'a> {
    linker: &'a mut Linker<Data>,
    module: &'a str,
    name: &'a str,
    results: &'a [ValType],
    host: HostFunction,
}

macro_rules! wrap {
    ($definition:expr, $($name:ident: $ty:ty),*) => {{
        let definition = $definition;
        let host = definition.host;
        macro_rules! with_result {
            ($result:ty) => {
                definition.linker.func_wrap(definition.module, definition.name,
                    #[allow(unused_mut, unused_assignments, unused_variables, non_snake_case)]
                    move |caller: Caller<'_, Data>, $($name: $ty),*| -> Result<$result, Error> {
                        const NAMES: &[&str] = &[$(stringify!($name)),*];
                        const COUNT: usize = NAMES.len();
                        let mut slots = [Value::default(); if COUNT == 0 { 1 } else { COUNT }];
                        let mut i = 0;
                        $($name.put(&mut slots[i]); i += 1;)*
                        host.invoke(caller, &mut slots)?;
                        Ok(<$result>::take(&slots[0]))
                    })
            };
        }
        match definition.results {
            [] => definition.linker.func_wrap(definition.module, definition.name,
                #[allow(unused_mut, unused_assignments, unused_variables, non_snake_case)]
                move |caller: Caller<'_, Data>, $($name: $ty),*| -> Result<(), Error> {
                    const NAMES: &[&str] = &[$(stringify!($name)),*];
                        const COUNT: usize = NAMES.len();
                    let mut slots = [Value::default(); if COUNT == 0 { 1 } else { COUNT }];
                    let mut i = 0;
                    $($name.put(&mut slots[i]); i += 1;)*
                    host.invoke(caller, &mut slots)
                }),
            [ValType::I32] => with_result!(i32),
            [ValType::I64] => with_result!(i64),
            [ValType::F32] => with_result!(F32),
            [ValType::F64] => with_result!(F64),
            _ => return false,
        }
        .is_ok()
    }};
}

// Each takes the next parameter's type from the list, until there is none.
fn define3<A: Slot, B: Slot, C: Slot>(definition: Definition<'_>) -> bool {
    wrap!(definition, a: A, b: B, c: C)
}

macro_rules! next {
    ($name:ident, $next:ident, $($var:ident: $ty:ident),*) => {
        fn $name<$($ty: Slot),*>(definition: Definition<'_>, rest: &[ValType]) -> bool {
            match rest {
                [] => wrap!(definition, $($var: $ty),*),
                [ValType::I32, rest @ ..] => $next::<$($ty,)* i32>(definition, rest),
                [ValType::I64, rest @ ..] => $next::<$($ty,)* i64>(definition, rest),
                [ValType::F32, rest @ ..] => $next::<$($ty,)* F32>(definition, rest),
                [ValType::F64, rest @ ..] => $next::<$($ty,)* F64>(definition, rest),
                _ => false,
            }
        }
    };
}

fn last<A: Slot, B: Slot, C: Slot>(definition: Definition<'_>, rest: &[ValType]) -> bool {
    rest.is_empty() && define3::<A, B, C>(definition)
}
next!(define2, last, a: A, b: B);
next!(define1, define2, a: A);
next!(define0, define1,);

fn define4<A: Slot, B: Slot, C: Slot, D: Slot>(definition: Definition<'_>) -> bool {
    wrap!(definition, a: A, b: B, c: C, d: D)
}

macro_rules! of_integers {
    ($definition:expr, [$($done:ty),*], ) => { define4::<$($done),*>($definition) };
    ($definition:expr, [$($done:ty),*], $head:expr $(, $tail:expr)*) => {
        match $head {
            ValType::I32 => of_integers!($definition, [$($done,)* i32], $($tail),*),
            ValType::I64 => of_integers!($definition, [$($done,)* i64], $($tail),*),
            _ => false,
        }
    };
}

fn define_four(definition: Definition<'_>, types: [ValType; 4]) -> bool {
    match types {
        [a, b, c, d] => match a {
            ValType::I32 => of_integers!(definition, [i32], b, c, d),
            ValType::I64 => of_integers!(definition, [i64], b, c, d),
            _ => false,
        },
    }
}

/// More than four: those of WASI preview 1, and up to eight i32.
fn define_many(definition: Definition<'_>, types: &[ValType]) -> bool {
    use ValType::{I32, I64};
    match types {
        [I32, I32, I32, I32, I32] => wrap!(definition, a: i32, b: i32, c: i32, d: i32, e: i32),
        [I32, I32, I32, I64, I32] => wrap!(definition, a: i32, b: i32, c: i32, d: i64, e: i32),
        [I32, I32, I32, I32, I32, I32] => wrap!(definition, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32),
        [I32, I32, I32, I32, I32, I32, I32] => {
            wrap!(definition, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32)
        }
        [I32, I32, I32, I32, I64, I64, I32] => {
            wrap!(definition, a: i32, b: i32, c: i32, d: i32, e: i64, f: i64, g: i32)
        }
        [I32, I32, I32, I32, I32, I32, I32, I32] => {
            wrap!(definition, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32)
        }
        [I32, I32, I32, I32, I32, I64, I64, I32, I32] => {
            wrap!(definition, a: i32, b: i32, c: i32, d: i32, e: i32, f: i64, g: i64, h: i32, i_: i32)
        }
        _ => false,
    }
}

/// Offers `host` under a name.
pub fn define(linker: &mut Linker<Data>, module: &str, name: &str, ty: FuncType, host: HostFunction) {
    let definition = Definition { linker: &mut *linker, module, name, results: ty.results(), host };
    let typed = match ty.params() {
        params @ ([] | [_] | [_, _] | [_, _, _]) => define0(definition, params),
        [a, b, c, d] => define_four(definition, [*a, *b, *c, *d]),
        params => define_many(definition, params),
    };
    if !typed {
        let types = ty.clone();
        let function = move |caller: Caller<'_, Data>, params: &[Val], results: &mut [Val]| {
            host.invoke_untyped(caller, &types, params, results)
        };
        let _ = linker.func_new(module, name, ty, function); // shadowing is allowed: it cannot fail
    }
}
